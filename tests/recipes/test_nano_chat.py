from random import Random

from ossia.harmony import Effort
from recipes.nano.chat import CANNOT, chat, other_arithmetic, unknown
from recipes.nano.facts import facts


def test_each_intent_has_one_answer():
    random, answers = Random(0), {}
    for _ in range(1500):
        problem = chat(random)
        assert answers.setdefault(problem.cell, problem.answer) == problem.answer
    assert "Ossia nano" in answers["chat, identity"]
    assert {"chat, greeting", "chat, harmony", "chat, effort", "chat, mxfp4", "chat, server"} <= set(answers)


def test_what_is_beyond_it_is_declined_shortly():
    random = Random(0)
    drawn = [unknown(random, held=False) for _ in range(200)]
    assert {problem.answer for problem in drawn} == {CANNOT}
    assert not any("{" in problem.question for problem in drawn)


def test_questions_vary():
    random = Random(0)
    assert len({unknown(random, held=False).question for _ in range(500)}) > 400


def test_kept_frames_are_not_learned():
    random = Random(0)
    learned = {unknown(random, held=False).question for _ in range(2000)}
    kept = {unknown(random, held=True).question for _ in range(300)}
    assert learned & kept == set()


def test_other_arithmetic_is_declined():
    random = Random(0)
    for _ in range(200):
        problem = other_arithmetic(random)
        assert (problem.cell, problem.answer) == ("other arithmetic", CANNOT)


def test_low_effort_thinks_nothing():
    assert set(chat(Random(0)).reasoning) == {Effort.MEDIUM, Effort.HIGH}


def test_a_fact_has_one_answer_in_every_wording():
    random, answers = Random(0), {}
    for _ in range(12000):
        problem = facts(random)
        question = problem.question.lower().rstrip("?")
        assert answers.setdefault((problem.cell, question), problem.answer) == problem.answer
    assert answers["fact, capital", "what is the capital of france"] == "Paris."
    assert answers["fact, element", "what is the atomic number of carbon"] == "6"
