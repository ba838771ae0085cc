import json
from random import Random

from recipes.nano.problem import Problem
from recipes.nano.weather import DECLARATION, weather


def city(problem: Problem) -> str:
    return json.loads(problem.calls[0].arguments)["city"]


def test_the_call_carries_the_city_that_is_asked_for():
    random = Random(0)
    for _ in range(100):
        problem = weather(random, held=False)
        arguments = json.loads(problem.calls[0].arguments)
        assert arguments["city"] in problem.question
        assert list(arguments) == DECLARATION["parameters"]["required"]


def test_the_answer_says_what_came_back():
    problem = weather(Random(1), held=True)
    result = json.loads(problem.calls[0].result)
    assert str(result["temperature"]) in problem.answer
    assert result["sky"] in problem.answer


def test_kept_cities_are_not_learned():
    random = Random(0)
    kept, learned = ({city(weather(random, held=held)) for _ in range(1500)} for held in (True, False))
    assert kept
    assert kept & learned == set()
