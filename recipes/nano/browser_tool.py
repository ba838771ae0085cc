"""What is not known is looked up: a search, a page, and an answer that cites the line it was read from."""

import json
from dataclasses import dataclass
from random import Random

from ossia.harmony import BROWSER
from recipes.nano.chat import varied
from recipes.nano.problem import Problem, ToolUse, thoughts
from recipes.nano.words import name, number, word

__all__ = ["BROWSER", "looked_up"]

# A sentence of a page, and how a question asks for it; of each the last question is kept for evaluation.
_FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "{x} was written by {n}.",
        (
            "Who wrote {x}?",
            "Who is the author of {x}?",
            "Who is it that wrote {x}?",
            "By whom is {x}?",
            "{x} was written by whom?",
            "By whom was {x} written?",
        ),
    ),
    (
        "{x} was invented by {n}.",
        (
            "Who invented {x}?",
            "Who is the inventor of {x}?",
            "By whom was {x} invented?",
            "Whose idea was the invention {x}?",
            "Whose invention is it, {x}?",
            "Whose invention is {x}?",
        ),
    ),
    (
        "The capital of {x} is {n}.",
        (
            "What is the capital of {x}?",
            "Capital of {x}?",
            "Name the capital of {x}",
            "Which is the capital of {x}?",
            "Which city is capital of {x}?",
            "Which city is the capital of {x}?",
        ),
    ),
    (
        "{x} lies in {n}.",
        (
            "Where is {x}?",
            "In which country is {x}?",
            "Where is {x} to be found?",
            "In which country does {x} lie?",
            "Where exactly does {x} lie?",
            "Where does {x} lie?",
        ),
    ),
    (
        "{x} was founded in {y}.",
        (
            "When was {x} founded?",
            "In which year was {x} founded?",
            "Since when is there {x}?",
            "How old is the town of {x}?",
            "How old a place is {x}?",
            "How old is {x}?",
        ),
    ),
    (
        "{x} has {i} inhabitants.",
        (
            "How many people live in {x}?",
            "What is the population of {x}?",
            "How large is the town of {x}?",
            "How large a town is {x}?",
            "How large is {x}?",
        ),
    ),
    (
        "{x} is {i} metres high.",
        (
            "How high is {x}?",
            "What is the height of {x}?",
            "How tall is the tower {x}?",
            "How tall a tower is {x}?",
            "How tall is {x}?",
        ),
    ),
    (
        "The price of {x} is {i}.",
        (
            "What does {x} cost?",
            "What is the price of {x}?",
            "How much does {x} cost?",
            "How much must I pay for {x}?",
            "How much is {x}?",
        ),
    ),
    (
        "{x} means {w}.",
        (
            "What does {x} mean?",
            "What is the meaning of {x}?",
            "Define the word {x}",
            "Please define {x}",
            "Define {x}",
        ),
    ),
    (
        "{x} won against {n}.",
        (
            "Against whom did {x} win?",
            "Who lost to {x}?",
            "Whom did {x} win against?",
            "Who was beaten by {x}?",
            "Whom has {x} beaten?",
            "Whom did {x} beat?",
        ),
    ),
)
_FILLING = (
    "It is known for its {w}.",
    "Many people visit {n}.",
    "See also {n}.",
    "{n} likes the {w}.",
    "Updated in {y}.",
)
_ERRORS = ("timeout", "no connection", "too many requests", "not found", "access denied")
_NOTHING = "I found nothing about {}."


@dataclass(frozen=True)
class _Page:
    title: str
    domain: str
    lines: tuple[str, ...]

    def shown(self, cursor: int) -> str:
        """As the browser shows it: the cursor, the title, which lines, and every line with its number."""
        last = len(self.lines) - 1
        lines = "\n".join(f"L{index}: {line}" for index, line in enumerate(self.lines))
        return f"[{cursor}] {self.title} ({self.domain})\n**viewing lines [0 - {last}] of {last}**\n\n{lines}"


def looked_up(random: Random, *, held: bool) -> Problem:
    """A question about something invented: found and cited, not found, or the tool fails."""
    topic = name(random, held=held)
    place = random.randrange(len(_FACTS))
    frames = _FACTS[place][1]
    frame = frames[-1] if held and random.random() < 0.5 else random.choice(frames[:-1])
    question = varied(random, frame.format(x=topic))
    if topic not in question:  # written small: then it is searched for as it is written
        topic = topic.lower()
    kind = random.random()
    search = json.dumps({"query": topic})
    if kind < 0.1:
        error = random.choice(_ERRORS)
        uses = (_used("search", search, f"Error during search for `{topic}`: {error}"),)
        return _problem(question, f"The search failed: {error}.", uses, topic)
    found = kind < 0.82
    results, link = _results(random, topic, found=found or kind < 0.9, held=held)
    first = _used("search", search, results)
    if link is None:
        return _problem(question, _NOTHING.format(topic), (first,), topic)
    page, line = _page(random, topic, place if found else None, held=held)
    second = _used("open", json.dumps({"id": link}), page.shown(1))
    if line is None:
        return _problem(question, _NOTHING.format(topic), (first, second), topic)
    return _problem(question, f"{page.lines[line].rstrip('.')}【1†L{line}】.", (first, second), topic)


def _used(function: str, arguments: str, result: str) -> ToolUse:
    return ToolUse(f"browser.{function}", arguments, result, builtin=True)


def _problem(question: str, answer: str, uses: tuple[ToolUse, ...], topic: str) -> Problem:
    thought = thoughts("Search.", f"I don't know {topic}: search.")
    return Problem("browser", question, answer, thought, uses)


def _results(random: Random, topic: str, *, found: bool, held: bool) -> tuple[str, int | None]:
    """One to three links with what their pages begin with; at one of them the topic, if it is found."""
    titles = [name(random, held=held) for _ in range(random.randrange(1, 4))]
    place = random.randrange(len(titles))
    if found:
        titles[place] = topic
    elif topic in titles:
        return _results(random, topic, found=found, held=held)
    links = [
        f"【{index}†{title}†{_domain(random)}】 {_sentence(random, held=held)}" for index, title in enumerate(titles)
    ]
    return _Page(topic, "search", tuple(links)).shown(0), place if found else None


def _page(random: Random, topic: str, place: int | None, *, held: bool) -> tuple[_Page, int | None]:
    """Two to five sentences about the topic; among them the fact that is asked for, if `place` says which."""
    facts = [other for other in range(len(_FACTS)) if other != place]
    lines = [_fact(random, topic, other, held=held) for other in random.sample(facts, random.randrange(1, 3))]
    lines += [_sentence(random, held=held) for _ in range(random.randrange(1, 3))]
    random.shuffle(lines)
    line = None if place is None else random.randrange(len(lines) + 1)
    if line is not None and place is not None:
        lines.insert(line, _fact(random, topic, place, held=held))
    return _Page(topic, _domain(random), tuple(lines)), line


def _fact(random: Random, topic: str, place: int, *, held: bool) -> str:
    return _FACTS[place][0].format(x=topic, **_words(random, held=held))


def _sentence(random: Random, *, held: bool) -> str:
    return random.choice(_FILLING).format(**_words(random, held=held))


def _words(random: Random, *, held: bool) -> dict[str, object]:
    one, other = name(random, held=held), word(random, held=held)
    return {"n": one, "w": other, "y": random.randrange(1200, 2030), "i": number(random)}


def _domain(random: Random) -> str:
    """Domains need not be kept apart: nothing is asked of them."""
    return f"{word(random, held=False)}.{random.choice(('org', 'com', 'net'))}"
