"""What is not known is looked up: a search, a page, and an answer that cites the line it was read from."""

import json
from dataclasses import dataclass
from random import Random

from ossia.harmony import BROWSER, Effort
from recipes.nano.chat import varied
from recipes.nano.problem import Problem, ToolUse, same_wording, thoughts, worded
from recipes.nano.words import name, number, word

__all__ = ["BROWSER", "looked_up"]


@dataclass(frozen=True)
class _Fact:
    """A sentence of a page, the word that says its relation, and how a question asks for it.

    Patterns as in `worded`: whole questions; clauses, after "Tell me" and the like; what is asked for as a noun. The
    wording that is `kept` is for evaluation: its words are learned, in other sentences.
    """

    sentence: str
    key: str
    questions: tuple[str, ...]
    clauses: tuple[str, ...]
    nouns: tuple[str, ...]
    kept: str

    def learned(self, random: Random) -> str:
        """A wording that is not the kept one."""
        kind = random.random()
        if kind < 0.5:
            text = worded(random, random.choice(self.questions))
        elif kind < 0.75:
            text = worded(random, random.choice(_CLAUSES)).replace("{}", worded(random, random.choice(self.clauses)))
        else:
            text = worded(random, random.choice(_NOUNS)).replace("{}", worded(random, random.choice(self.nouns)))
            text = text[0].upper() + text[1:]
        return self.learned(random) if same_wording(text, self.kept) else text


_CLAUSES = (
    "[Tell me|Find out|Look up|Please find out|Say|I want to know|I would like to know|Please look up] {}.",
    "[Do you know|Can you tell me|Can you find out|Could you look up|May I ask] {}?",
)
_NOUNS = (
    "What is {}?",
    "{}[|?|, please]",
    "[Name|Tell me|Give me|Find|Look up|Please look up|I need|I am looking for|Search for] {}[|.]",
)
_FACTS = (
    _Fact(
        "{x} was written by {n}.",
        "written",
        (
            "Who [wrote|has written|is the author of|is the writer of|is it that wrote|was the author of] {x}?",
            "[{x}|The book {x}|The text {x}] was written by [whom|which author|which writer]?",
            "By [whom|which author|which writer] is [{x}|the book {x}|the text {x}]?",
            "[Whose book|Whose work|Whose text] is [it, ||the book ]{x}?",
            "[By whom|By which author] was the [book|text|work] {x} written?",
        ),
        ("who [wrote|has written] [|the book ]{x}", "by whom [|the book ]{x} was written", "whose [book|work] {x} is"),
        ("the [author|writer] of [|the book ]{x}",),
        "By whom was {x} written?",
    ),
    _Fact(
        "{x} was invented by {n}.",
        "invented",
        (
            "Who [invented|has invented|is the inventor of|was the inventor of|came up with] {x}?",
            "By [whom|which inventor] was {x} invented?",
            "[{x}|The invention {x}|The machine {x}] was invented by [whom|which inventor]?",
            "Whose [idea|machine|invention] [is it, |was ]{x}?",
            "Whose [idea|invention] is the [invention|machine] {x}?",
            "Whose idea was the invention {x}?",
        ),
        ("who [invented|has invented] {x}", "by whom {x} was invented", "whose [invention|idea] {x} is"),
        ("the inventor of [|the machine ]{x}",),
        "Whose invention is {x}?",
    ),
    _Fact(
        "The capital of {x} is {n}.",
        "capital",
        (
            "[What|Which] is the capital [|city ]of [|the country ]{x}?",
            "Which [city|town] is capital of [|the country ]{x}?",
            "Which [town|place] is the capital of [|the country ]{x}?",
            "[What|Which city] does [|the country ]{x} have as its capital?",
            "[What|Which city] is the capital of the country {x}?",
        ),
        (
            "[what|which] the capital of [|the country ]{x} is",
            "which [city|town] is the capital of [|the country ]{x}",
        ),
        ("[the |]capital [|city ]of [|the country ]{x}",),
        "Which city is the capital of {x}?",
    ),
    _Fact(
        "{x} lies in {n}.",
        "lies",
        (
            "Where [|exactly ]is [|the place ]{x}?",
            "In which [country|region|land] is {x}?",
            "In [which|what] [country|region|land] does {x} lie?",
            "Where [is|can] {x} [to be found|be found|located|situated]?",
            "Where [exactly |in the world ]does {x} lie?",
            "Where does the [place|village|town] {x} lie?",
        ),
        ("where [|the place ]{x} [lies|is|is to be found]", "in which [country|region] {x} [lies|is]"),
        ("the [place|country|region] where {x} lies", "the [country|region] in which {x} [lies|is]"),
        "Where does {x} lie?",
    ),
    _Fact(
        "{x} was founded in {y}.",
        "founded",
        (
            "[When|In which year|In what year] was [|the town of ]{x} [founded|established]?",
            "Since [when|which year] is there [|the town of ]{x}?",
            "How old [a place|a town] is {x}?",
            "How old is the [town|place|city] [|of ]{x}?",
            "How [many years|long] has {x} [existed|been there]?",
        ),
        ("[when|in which year] {x} was founded", "how old [|the town ]{x} is", "since when there is {x}"),
        ("the [year|date] in which {x} was founded", "the [age|founding year] of [|the town ]{x}"),
        "How old is {x}?",
    ),
    _Fact(
        "{x} has {i} inhabitants.",
        "inhabitants",
        (
            "How many [people|inhabitants|persons] [live in|are there in] [|the town of ]{x}?",
            "How many [people|inhabitants] does [|the town of ]{x} have?",
            "How large [a town|a city|a place] is {x}?",
            "How large is the [town|city|place] [|of ]{x}?",
            "How large is the population of {x}?",
            "How many live in {x}?",
        ),
        ("how many [people|inhabitants] [live in {x}|{x} has]", "how large [|the town ]{x} is"),
        ("the [population|number of inhabitants|size] of [|the town ]{x}", "the number of people in {x}"),
        "How large is {x}?",
    ),
    _Fact(
        "{x} is {i} metres high.",
        "metres",
        (
            "How high is [|the tower |the mountain ]{x}?",
            "How many metres [high |tall ]is [|the tower ]{x}?",
            "How [tall|high] [a tower|a mountain] is {x}?",
            "How tall is the [tower|mountain|building] [|of ]{x}?",
            "How [tall|high] does [|the tower ]{x} stand?",
        ),
        ("how [tall|high] [|the tower ]{x} is", "how many metres [high|tall] {x} is"),
        ("the height of [|the tower ]{x}", "the height in metres of {x}"),
        "How tall is {x}?",
    ),
    _Fact(
        "The price of {x} is {i}.",
        "price",
        (
            "[What|How much] does [|one ]{x} cost?",
            "How much [must|do|should] I pay for [|one ]{x}?",
            "How much is [one|the price of|a piece of] {x}?",
            "What [is the price of|must I pay for|do I pay for] {x}?",
            "At what price is {x} [sold|to be had]?",
            "How much [money |]do they ask for {x}?",
        ),
        ("[what|how much] [|one ]{x} costs", "how much [I must pay for {x}|{x} is]", "what the price of {x} is"),
        ("the [price|cost] of [|one ]{x}",),
        "How much is {x}?",
    ),
    _Fact(
        "{x} means {w}.",
        "means",
        (
            "What does [|the word ]{x} mean?",
            "[Define|Please define|Can you define] the [word|term] {x}",
            "What is [meant by|the meaning of] [|the word ]{x}?",
            "[Explain|Please explain] [|the word |the term ]{x}",
            "How [do you|would you] define [|the word ]{x}?",
            "{x} means what?",
        ),
        ("what [|the word |the term ]{x} means", "what is meant by {x}", "how {x} is defined"),
        ("the [meaning|definition] of [|the word |the term ]{x}",),
        "Define {x}",
    ),
    _Fact(
        "{x} won against {n}.",
        "won",
        (
            "[Against whom|Against which team] did {x} win?",
            "Who [lost to|lost against|was beaten by|was defeated by] {x}?",
            "[Whom|Which team] did {x} win against?",
            "[Whom|Which team] has {x} [beaten|won against|defeated]?",
            "[Whom|Which team] did the team {x} [beat|win against|defeat]?",
            "Which [team|rival] did {x} beat?",
            "Whom did {x} [defeat|overcome]?",
        ),
        ("[whom|which team] {x} [beat|has beaten|won against]", "against whom {x} won", "who lost to {x}"),
        ("the [loser|team] that {x} [beat|won against]", "the team that lost to {x}"),
        "Whom did {x} beat?",
    ),
)
# What else stands on pages, by the word that shows it to be something else.
_FILLING = {
    "known": "It is known for its {w}.",
    "visit": "Many people visit {n}.",
    "also": "See also {n}.",
    "likes": "{n} likes the {w}.",
    "Updated": "Updated in {y}.",
}
_ERRORS = ("timeout", "no connection", "too many requests", "not found", "access denied")
_NOTHING = "I found nothing about {}."


@dataclass(frozen=True)
class _Page:
    """What is shown, and of each line the word that says what it is about."""

    title: str
    domain: str
    lines: tuple[str, ...]
    keys: tuple[str, ...]

    def shown(self, cursor: int) -> str:
        """As the browser shows it: the cursor, the title, which lines, and every line with its number."""
        last = len(self.lines) - 1
        lines = "\n".join(f"L{index}: {line}" for index, line in enumerate(self.lines))
        return f"[{cursor}] {self.title} ({self.domain})\n**viewing lines [0 - {last}] of {last}**\n\n{lines}"


def looked_up(random: Random, *, held: bool) -> Problem:
    """A question about something invented: found and cited, not found, or the tool fails."""
    topic, fact = name(random, held=held), random.choice(_FACTS)
    frame = fact.kept if held and random.random() < 0.5 else fact.learned(random)
    question = varied(random, frame.format(x=topic))
    if topic not in question:  # written small: then it is searched for as it is written
        topic = topic.lower()
    kind = random.random()
    if kind < 0.1:
        error = random.choice(_ERRORS)
        use = _searched(topic, f"Error during search for `{topic}`: {error}", thoughts("Failed.", f"Failed: {error}."))
        return _problem(question, f"The search failed: {error}.", (use,), topic)
    found = kind < 0.8
    results, link = _results(random, topic, found=found or kind < 0.88, held=held)
    use = _searched(topic, results.shown(0), _scanned("", results.keys, link))
    if link is None:
        return _problem(question, _NOTHING.format(topic), (use,), topic)
    page, line = _page(random, topic, fact, found=found, held=held)
    opened = _used("open", json.dumps({"id": link}), page.shown(1), _scanned("L", page.keys, line, fact.key))
    answer = _NOTHING.format(topic) if line is None else f"{page.lines[line].rstrip('.')}【1†L{line}】."
    return _problem(question, answer, (use, opened), topic)


def _used(function: str, arguments: str, result: str, thought: dict[Effort, str]) -> ToolUse:
    return ToolUse(f"browser.{function}", arguments, result, builtin=True, thought=thought)


def _searched(topic: str, result: str, thought: dict[Effort, str]) -> ToolUse:
    return _used("search", json.dumps({"query": topic}), result, thought)


def _scanned(mark: str, keys: tuple[str, ...], place: int | None, wanted: str | None = None) -> dict[Effort, str]:
    """One line after the other, up to the right one: high reads from each what it is about, medium judges alone.

    A number that stands in front of what is looked for is hard to see at once. Here each step copies the next line's
    words and compares them with those that are wanted.

    >>> _scanned("L", ("price", "founded", "also"), 1, "founded")[Effort.HIGH]
    'founded? L0 price no,L1 founded yes.'
    >>> _scanned("", ("Bo", "Foo"), None)[Effort.HIGH]
    '0 Bo no,1 Foo no.'
    """
    last = len(keys) if place is None else place + 1
    judged = ["yes" if index == place else "no" for index in range(last)]
    head = f"{wanted}? " if wanted else ""
    medium = ",".join(f"{mark}{index} {yes}" for index, yes in enumerate(judged))
    high = ",".join(f"{mark}{index} {keys[index]} {yes}" for index, yes in enumerate(judged))
    return thoughts(f"{head}{medium}.", f"{head}{high}.")


def _problem(question: str, answer: str, uses: tuple[ToolUse, ...], topic: str) -> Problem:
    thought = thoughts("Search.", f"I don't know {topic}: search.")
    return Problem("browser", question, answer, thought, uses)


def _results(random: Random, topic: str, *, found: bool, held: bool) -> tuple[_Page, int | None]:
    """One to three links with what their pages begin with; at one of them the topic, if it is found."""
    titles = [name(random, held=held) for _ in range(random.randrange(1, 4))]
    if topic in titles:
        return _results(random, topic, found=found, held=held)
    place = random.randrange(len(titles)) if found else None
    if place is not None:
        titles[place] = topic
    links = [
        f"【{index}†{title}†{_domain(random)}】 {_filling(random, held=held)[1]}" for index, title in enumerate(titles)
    ]
    return _Page(topic, "search", tuple(links), tuple(titles)), place


def _page(random: Random, topic: str, fact: _Fact, *, found: bool, held: bool) -> tuple[_Page, int | None]:
    """Two to five sentences about the topic; among them the fact that is asked for, if it is found."""
    others = random.sample([other for other in _FACTS if other is not fact], random.randrange(1, 3))
    lines = [_stated(random, topic, other, held=held) for other in others]
    lines += [_filling(random, held=held) for _ in range(random.randrange(1, 3))]
    random.shuffle(lines)
    line = random.randrange(len(lines) + 1) if found else None
    if line is not None:
        lines.insert(line, _stated(random, topic, fact, held=held))
    keys, texts = zip(*lines, strict=True)
    return _Page(topic, _domain(random), texts, keys), line


def _stated(random: Random, topic: str, fact: _Fact, *, held: bool) -> tuple[str, str]:
    return fact.key, fact.sentence.format(x=topic, **_words(random, held=held))


def _filling(random: Random, *, held: bool) -> tuple[str, str]:
    key = random.choice(list(_FILLING))
    return key, _FILLING[key].format(**_words(random, held=held))


def _words(random: Random, *, held: bool) -> dict[str, object]:
    one, other = name(random, held=held), word(random, held=held)
    return {"n": one, "w": other, "y": random.randrange(1200, 2030), "i": number(random)}


def _domain(random: Random) -> str:
    """Domains need not be kept apart: nothing is asked of them."""
    return f"{word(random, held=False)}.{random.choice(('org', 'com', 'net'))}"
