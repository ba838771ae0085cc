from random import Random

from ossia.harmony import Effort
from recipes.nano.chat import CANNOT, TOO_LARGE, chat, other_arithmetic, out_of_scope


def test_each_intent_has_one_answer():
    random = Random(0)
    drawn = [chat(random) for _ in range(500)]
    answers = {problem.cell: problem.answer for problem in drawn}
    assert len(answers) == 6
    assert all(problem.right(answers[problem.cell]) for problem in drawn)
    assert "Ossia nano" in answers["chat, identity"]


def test_what_is_beyond_it_is_declined_shortly():
    random = Random(0)
    drawn = [out_of_scope(random, held=False) for _ in range(200)]
    assert {problem.answer for problem in drawn} == {CANNOT}
    assert not any("{" in problem.question for problem in drawn)


def test_questions_vary():
    random = Random(0)
    assert len({out_of_scope(random, held=False).question for _ in range(500)}) > 400


def test_kept_frames_are_not_learned():
    random = Random(0)
    learned = {out_of_scope(random, held=False).question for _ in range(2000)}
    kept = {out_of_scope(random, held=True).question for _ in range(300)}
    assert not any("capital of" in question for question in kept)
    assert any("capital of" in question for question in learned)
    assert learned & kept == set()


def test_other_arithmetic_is_declined_by_kind():
    random = Random(0)
    for _ in range(200):
        problem = other_arithmetic(random)
        assert problem.answer == {"other arithmetic": CANNOT, "too large": TOO_LARGE}[problem.cell]


def test_low_effort_thinks_nothing():
    assert set(chat(Random(0)).reasoning) == {Effort.MEDIUM, Effort.HIGH}
