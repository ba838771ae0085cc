"""The function that everybody tries first: the weather of a city."""

import json
from random import Random

from recipes.nano.problem import Problem, ToolUse, thoughts
from recipes.nano.words import WORDS, name

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
    """A question that the function answers. Every eighth city is kept for evaluation; half of names are invented."""
    cities = [city for index, city in enumerate(WORDS["city"]) if (index % 8 == 3) == held]
    city = random.choice(cities) if held or random.random() < 0.5 else name(random, held=False)
    degrees, sky = random.randrange(-20, 40), random.choice(_SKIES)
    use = ToolUse(FUNCTION, json.dumps({"city": city}), json.dumps({"temperature": degrees, "sky": sky}))
    return Problem(
        cell="call, weather",
        question=random.choice(_QUESTIONS).format(city),
        answer=f"The temperature is {degrees}. The sky is {sky}.",
        reasoning=thoughts(f"{FUNCTION}.", f"{FUNCTION} yes. city {city}."),
        calls=(use,),
    )
