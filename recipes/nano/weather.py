"""The one function call that is taught: the weather of a city, by the arguments' names as declared."""

import json
from importlib.resources import files
from random import Random

from ossia.harmony import Effort
from recipes.nano.problem import Problem, ToolUse

__all__ = ["DECLARATION", "FUNCTION", "weather"]

FUNCTION = "get_weather"
DECLARATION = {
    "name": FUNCTION,
    "description": "The current weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}

_WORDS: dict[str, list[str]] = json.loads(files("recipes.nano").joinpath("words.json").read_text("utf-8"))
_QUESTIONS = (
    "What is the weather in {}?",
    "What's the weather like in {}?",
    "How is the weather in {}?",
    "How warm is it in {}?",
    "Is it raining in {}?",
    "Weather in {}",
    "Tell me the weather in {}",
    "What is the temperature in {}?",
    "weather {}",
    "Do I need a coat in {} today?",
)
_SKIES = ("sunny", "cloudy", "raining", "snowing", "foggy", "windy")


def weather(random: Random, *, held: bool) -> Problem:
    """A question that the function answers. Every eighth city is kept for evaluation; a tenth of names are invented."""
    cities = [city for index, city in enumerate(_WORDS["city"]) if (index % 8 == 3) == held]
    named = held or random.random() < 0.9
    city = random.choice(cities) if named else _invented(random)
    degrees, sky = random.randrange(-20, 40), random.choice(_SKIES)
    use = ToolUse(
        function=FUNCTION,
        arguments=json.dumps({"city": city}),
        result=json.dumps({"temperature": degrees, "sky": sky}),
    )
    thought = f"Weather of {city}."
    return Problem(
        cell="function call, new city" if held or not named else "function call, known city",
        question=random.choice(_QUESTIONS).format(city),
        answer=f"It is {sky}, {degrees} degrees.",
        reasoning={Effort.MEDIUM: thought, Effort.HIGH: thought},
        tool=use,
    )


def _invented(random: Random) -> str:
    return "".join(random.choices(_WORDS["city syllable"], k=random.randrange(2, 4))).capitalize()
