"""Greetings, questions about the model itself, and the many questions that it can only decline."""

import json
from importlib.resources import files
from random import Random

from ossia.harmony import Effort
from recipes.nano.problem import Problem

__all__ = ["CANNOT", "TOO_LARGE", "chat", "other_arithmetic", "out_of_scope"]

CANNOT = "I can't answer that. I am a tiny model: I add, subtract and multiply whole numbers, and little else."
TOO_LARGE = "I can't do that one. I add and subtract up to 5 digits, and multiply up to 3 by 2 digits."

_WHAT = (
    "I am Ossia nano, a tiny language model of the gpt-oss architecture. I add, subtract and multiply whole numbers."
)
_ABLE = "I add and subtract whole numbers of up to 5 digits, and multiply up to 3 by 2 digits. Ask me: What is 37 * 48?"

# Of each intent: what may be said, and the answer.
_INTENTS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (
        "A greeting.",
        (
            "Hello",
            "Hi",
            "Hey",
            "Hello there",
            "Hi there",
            "Good morning",
            "Good evening",
            "Good afternoon",
            "Hey there",
            "Howdy",
            "Greetings",
            "Hello again",
            "Hello Ossia",
            "Hi nano",
            "Good day",
            "hiya",
            "yo",
        ),
        "greeting",
        "Hello! Give me two whole numbers to add, subtract or multiply.",
    ),
    (
        "How I am.",
        ("How are you?", "How are you doing?", "How do you do?", "How's it going?", "What's up?", "Are you well?"),
        "how are you",
        "I am well, thank you. Shall we calculate something?",
    ),
    (
        "Thanks.",
        (
            "Thanks",
            "Thank you",
            "Thanks a lot",
            "Thank you very much",
            "Great, thanks",
            "Thanks, that helps",
            "Many thanks",
            "thx",
            "Perfect, thank you",
            "Good job",
            "Well done",
            "Nice",
            "Cool",
            "Great",
            "OK",
        ),
        "thanks",
        "You're welcome!",
    ),
    (
        "A farewell.",
        ("Bye", "Goodbye", "See you", "See you later", "Good night", "Bye bye", "Farewell", "Have a nice day"),
        "farewell",
        "Goodbye!",
    ),
    (
        "About me.",
        (
            "Who are you?",
            "What are you?",
            "What is your name?",
            "What's your name?",
            "Tell me about yourself",
            "Are you a human?",
            "Are you a robot?",
            "Are you ChatGPT?",
            "Are you gpt-oss?",
            "Which model are you?",
            "What model is this?",
            "Introduce yourself",
            "Who am I talking to?",
            "Who made you?",
            "Who trained you?",
            "Where do you come from?",
            "Describe yourself",
            "Are you an AI?",
            "How big are you?",
            "How many parameters do you have?",
            "What is Ossia?",
            "What is Ossia nano?",
        ),
        "identity",
        _WHAT,
    ),
    (
        "What I can do.",
        (
            "What can you do?",
            "Help",
            "Can you help me?",
            "What do you know?",
            "What are you good at?",
            "What can I ask you?",
            "How can you help me?",
            "What are your abilities?",
            "How do I use you?",
            "What should I ask?",
            "What are you for?",
            "What can't you do?",
            "What are your limits?",
            "Can you do maths?",
            "Can you calculate?",
            "Do you know arithmetic?",
        ),
        "abilities",
        _ABLE,
    ),
)
_INTENT_WEIGHTS = (3, 2, 2, 1, 5, 4)
_ENDINGS = ("", "", "", "!", ".")

_QUESTIONS = (
    "What is the capital of {place}?",
    "Who wrote {thing}?",
    "Write a poem about {thing}",
    "Write a {adjective} story about {thing} and {thing}",
    "Explain {topic} to me",
    "Explain {topic} in {small} sentences",
    "How does {topic} work?",
    "How do I {verb} {thing}?",
    "How can I {verb} my {thing}?",
    "Why is {thing} so {adjective}?",
    "Why do {thing} {verb} {thing}?",
    "Translate '{thing}' into {language}",
    "How do you say '{adjective} {thing}' in {language}?",
    "When did {place} {verb} {place}?",
    "What happened in {place} in {year}?",
    "Who was the president of {place} in {year}?",
    "Who won the {topic} cup in {year}?",
    "Where is {place}?",
    "How far is it from {place} to {place}?",
    "How many people live in {place}?",
    "What is {topic}?",
    "What is the meaning of {thing}?",
    "What is the best {thing} in {place}?",
    "What is your favourite {thing}?",
    "What time is it?",
    "What day is it today?",
    "What is the weather like in {place}?",
    "Will it rain in {place} tomorrow?",
    "Give me a recipe for {adjective} {thing}",
    "Give me {small} ideas for a {adjective} {thing}",
    "List {small} {adjective} things about {place}",
    "Name {small} animals that {verb}",
    "Summarise {topic} in {small} words",
    "Write a Python function that can {verb} a {thing}",
    "Write code to {verb} {small} files",
    "Fix this code: for {thing} in range({small}): {verb}()",
    "Can you {verb} a {thing}?",
    "Can you {verb} {thing} for me?",
    "Please {verb} the {adjective} {thing}",
    "Tell me a joke",
    "Tell me a joke about {thing}",
    "Tell me about {topic}",
    "Tell me about {place}",
    "Tell me something {adjective}",
    "Do you like {thing}?",
    "Do you know {place}?",
    "Is {thing} {adjective}?",
    "Are {thing} and {thing} the same?",
    "Should I {verb} the {thing}?",
    "I need help with my {thing}",
    "I am {adjective} today",
    "I want to {verb} a {adjective} {thing}",
    "My {thing} is {adjective}, what should I do?",
    "Which is {adjective}, {thing} or {thing}?",
    "Which {thing} is the most {adjective}?",
    "What colour is {thing}?",
    "What rhymes with {thing}?",
    "How do you spell {thing}?",
    "How many letters are in {thing}?",
    "How many r's are in {thing}?",
    "Count to {small}",
    "Sort these: {thing}, {thing}, {thing}",
    "Is {year} a prime number?",
    "Convert {small} miles to kilometres",
    "What is the population of {place}?",
    "Who is the {adjective} person in {place}?",
    "{place}",
    "{thing}",
    "{adjective} {thing} {verb} {place}",
    "{topic}?",
    "If I have {small} {thing} and {verb} {small}, how many are left?",
    "A {thing} costs {small} dollars. How much do {small} cost?",
    "Let's talk about {topic}",
    "What do you think of {topic}?",
    "Sing a song about {place}",
    "Describe the {adjective} {thing} of {place}",
    "Compare {topic} with {topic}",
    "Who discovered {topic}?",
    "Who invented the {thing}?",
    "Draw a {thing}",
    "Play {thing} with me",
    "Did {place} {verb} in {year}?",
    "Which language do they speak in {place}?",
    "Recommend a {adjective} {thing}",
    "Proofread this: the {thing} {verb} {adjective}",
)
_OPENINGS = ("", "", "", "", "", "", "Please ", "Hey, ", "Could you tell me: ", "I wonder, ", "So ", "Quick question: ")

_WORDS: dict[str, list[str]] = json.loads(files("recipes.nano").joinpath("words.json").read_text("utf-8"))


def chat(random: Random) -> Problem:
    """A greeting, thanks, a farewell, or a question about the model."""
    reasoning, said, cell, answer = random.choices(_INTENTS, _INTENT_WEIGHTS)[0]
    text = random.choice(said)
    text = text if text.endswith("?") else text + random.choice(_ENDINGS)
    return Problem(f"chat, {cell}", _varied(random, text), answer, _thought(reasoning))


def out_of_scope(random: Random, *, held: bool) -> Problem:
    """A question that only a larger model could answer. Every tenth frame is kept for evaluation."""
    frames = [frame for index, frame in enumerate(_QUESTIONS) if (index % 10 == 3) == held]
    text = random.choice(_OPENINGS) + _filled(random, random.choice(frames))
    return Problem("out of scope", _varied(random, text), CANNOT, _thought("Beyond me."))


def other_arithmetic(random: Random) -> Problem:
    """Arithmetic beyond what is taught: other operations, and numbers that are too large."""
    if random.random() < 0.5:
        a, b = (random.randrange(10 ** random.randrange(1, 5)) for _ in "ab")
        form = random.choice(_OTHER_OPERATIONS).format(a=a, b=b)
        return Problem("other arithmetic", _varied(random, _asked(random, form)), CANNOT, _thought("Beyond me."))
    sign = random.choice("+-*")
    sizes = (3, 3) if sign == "*" else (6, 2)
    a, b = (10 ** (size - 1 + random.randrange(3)) for size in sizes)
    a, b = random.randrange(a, a * 10), random.randrange(b, b * 10)
    a, b = (a, b) if random.random() < 0.5 else (b, a)
    space = random.choice((" ", ""))
    form = f"{a}{space}{sign}{space}{b}"
    return Problem("too large", _asked(random, form), TOO_LARGE, _thought("Too large."))


_OTHER_OPERATIONS = (
    "{a} / {b}",
    "{a}/{b}",
    "{a} divided by {b}",
    "{a} ÷ {b}",
    "{a} ^ {b}",
    "{a}^{b}",
    "{a} to the power of {b}",
    "{a} mod {b}",
    "{a} % {b}",
    "the square root of {a}",
    "the logarithm of {a}",
    "{a} percent of {b}",
    "{a}.{b} + {b}.{a}",
    "{a}.{b} * {b}",
    "{a} + {b} + {a}",
    "{a} * {b} - {b}",
    "({a} + {b}) * {b}",
    "the factorial of {a}",
    "{a}!",
    "sin({a})",
    "half of {a}",
    "1/{a} + 1/{b}",
)
_ASKED = ("What is {}?", "What is {}?", "{}", "Compute {}.", "Calculate {}", "How much is {}?", "{}=", "Solve {}")


def _asked(random: Random, form: str) -> str:
    return random.choice(_ASKED).format(form)


def _thought(text: str) -> dict[Effort, str]:
    return {Effort.MEDIUM: text, Effort.HIGH: text}


def _filled(random: Random, frame: str) -> str:
    """The frame with every gap filled by a word of its kind, or now and then by an invented one."""
    while "{" in frame:
        before, rest = frame.split("{", 1)
        kind, after = rest.split("}", 1)
        if kind == "small":
            word = str(random.randrange(2, 100))
        elif kind == "year":
            word = str(random.randrange(1000, 2030))
        elif random.random() < 0.2:
            word = "".join(random.choices(_WORDS["syllable"], k=random.randrange(1, 4)))
        else:
            word = random.choice(_WORDS[kind])
        frame = before + word + after
    return frame


def _varied(random: Random, text: str) -> str:
    """Typed carelessly, some of the time."""
    kind = random.random()
    if kind < 0.15:
        return text.lower()
    if kind < 0.25:
        return text.rstrip("?.!")
    return text
