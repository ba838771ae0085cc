"""Word problems of one to four steps, told sentence by sentence.

A sentence is composed of parts: who or nobody, what happens, how many of what, when. A model that is taught a few whole
sentences learns them by heart; taught parts in hundreds of combinations it reads a combination that it never saw.
"""

import re
from random import Random

from recipes.nano.expressions import NAMES, Step, any_kept, composed, result, worked
from recipes.nano.problem import Problem, kept
from recipes.nano.words import WORDS

__all__ = ["long_story"]

# How a story begins, what may happen next, and what is asked at last; of each kind the last is kept for evaluation.
_SOMEBODY = "[somebody|a friend|a neighbour|a teacher|a child|{other}|{other}|{other}]"
_BEGINNINGS = (
    "{first}{who} [has|has|had|owns|collected|found|bought|counted|keeps|brings|gets] {a} {things}.",
    "{first}{who} [starts out|begins|began|started out] with {a} {things}.",
    "{first}there [are|are|were] {a} {things}[ {place}|].",
    "[a shop|a school|a farmer|a teacher|a family|a box|a bag|the kitchen] [has|had|starts out with] {a} {things}.",
    "[we|you|the children] [begin|start out] with {a} {things}[ {place}|].",
    "{who} starts [the day|the week|the game|to play] with {a} {things}.",
    "{a} {things} [are|lie|were] {place}[| in the beginning| at first].",
    "{first}{who} [has|puts|keeps|finds] {a} {things} {place}.",
    "{who} starts with {a} {things}.",
)
_MANY_MORE = (
    "[{n} more|{n} more|another {n}|another {n}|{n} new ones|{n} new {things}|{n} more {things}|another {n} {things}]"
)
_SOME = "[{n}|{n}|{n} of them|{n} of them|{n} of the {things}|{n} {things}]"
_OWNER = "[{who}|{who}|{who}|the owner|the family]"
_EVENTS: dict[str, tuple[str, ...]] = {
    "+": (
        "{when}" + _MANY_MORE + " [come|arrive|appear|turn up|follow|come in|join them]{end}.",
        "{when}"
        + _MANY_MORE
        + " [are added|are bought|are found|are made|are brought|are put there|are delivered]{end}.",
        "{when}[{n}|{n} {things}] [come|arrive|appear|are added|are found|are brought] as well{end}.",
        "[then|now|soon|later|next] [{n}|{n} {things}] are [added|bought|found|brought|put there].",
        "{when}" + _OWNER + " [finds|buys|gets|makes|collects|receives|wins] " + _MANY_MORE + "{end}.",
        "{when}" + _SOMEBODY + " [brings|adds|sends|gives {who}|comes with|finds|puts there] " + _MANY_MORE + "{end}.",
        "{when}" + _SOMEBODY + " [brings|adds|comes with] [{n}|{n} {things}]{end}.",
        "{when}[the number|their number|the number of {things}] [grows|rises|goes up] by {n}.",
        "{when}there are {n} more [of them|{things}|than before].",
        "Another {n} arrive.",
    ),
    "-": (
        "{when}" + _SOME + " [disappear|disappear|break|vanish|go missing|get lost|fall apart]{end}.",
        "{when}" + _SOME + " are [given away|lost|sold|stolen|removed|taken away|thrown away|used up|broken]{end}.",
        "{when}" + _OWNER + " [sells|loses|gives away|uses up|throws away|breaks|gives {other}] " + _SOME + "{end}.",
        "{when}" + _OWNER + " [gives|sells|loses] " + _SOME + " to [{other}|a friend|a neighbour|a child]{end}.",
        "{when}" + _SOMEBODY + " [takes|steals|takes away|removes|breaks|loses] " + _SOME + "{end}.",
        "{when}[the number|their number|the number of {things}] [shrinks|falls|goes down] by {n}.",
        "{when}there are {n} [fewer|less] [of them|{things}|than before].",
        "{n} disappear.",
    ),
    "*": (
        "{when}there are {n} times as many[| of them| {things}| of the {things}| as before]{end}.",
        "{when}{who} has {n} times as many[| of them| {things}| as before]{end}.",
        "{when}[the number|their number|the number of {things}] [is|becomes] {n} times as large[| as before]{end}.",
        "{when}[the number|their number] grows to {n} times [as many|as many of them|what it was]{end}.",
        "{when}[the number|their number|the number of {things}] is multiplied by {n}{end}.",
        "{when}each [one|of them|of the {things}] [is replaced by|becomes|turns into|is exchanged for] {n}{end}.",
        "{when}{who} [replaces each one by|replaces each of them by|exchanges each one for] {n}{end}.",
        "Soon there are {n} times as many of them.",
    ),
    "/": (
        "{when}{all} [are put|are packed|are split|are divided|are sorted|go] into {n} equal {boxes}, and {left}.",
        "{when}{who} [puts|packs|splits|divides|sorts] them into {n} equal {boxes}, and {left}.",
        "{when}{all} are [shared|divided] equally [by|among|between] {n} {friends}, and {share}.",
        "{when}{n} {friends} share them equally, and {share}.",
        "{when}{all} [are|get] divided by {n}{end}.",
        "{when}[the number|their number|the number of {things}] is divided by {n}{end}.",
        "They go into {n} equal boxes, and only one box is left.",
    ),
}
# Without a number: how two and three are said in words.
_WORDED: dict[tuple[str, int], tuple[str, ...]] = {
    ("*", 2): (
        "{when}[the number|their number] doubles{end}.",
        "{when}there are twice as many[| of them| {things}]{end}.",
    ),
    ("*", 3): ("{when}[the number|their number] triples{end}.",),
    ("/", 2): (
        "{when}{who} [sells|loses|gives away|keeps] half of [them|the {things}]{end}.",
        "{when}half of [them|the {things}] [disappear|break|are lost|are sold|are kept]{end}.",
    ),
}
_ENDINGS = (
    "how many [|{things} |of them |of the {things} ]are [left|there|there now|left now|there in the end]?",
    "how many [|of them |of the {things} ]remain[| now| in the end| after that]?",
    "how many {things} [is that|does that make|does that leave|are there after that|can be counted now]?",
    "what is the number of {things} [now|that remain|in the end|that are left]?",
    "tell me [the number of {things}|how many {things} there are] [now|in the end|after that].",
    "[in the end|now|after all that], how many [|{things} |of them |of the {things} ]are [left|there]?",
    "How many {things} remain?",
)
# Parts that frames name. What is one of many is the second word of a pair.
_FIRST = ("", "", "", "at first ", "first ", "in the beginning ", "on {day} ", "in the morning ", "one day ", "today ")
_WHEN = (
    *("then ", "then ", "now ", "now ", "soon ", "soon ", "later ", "next ", "after that ", "the next day "),
    *("in the evening ", "a little later ", "on {day} ", "suddenly ", "again "),
)
_END = (" now", " later", " after that", " the next day", " on {day}", " on that day", " in the evening")
_PLACES = ("on the table", "on the floor", "in a box", "in the garden", "in the kitchen", "on a shelf", "in two rows")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ALL = ("they", "they", "they", "the {things}", "all of them", "all {things}")
_BOXES = (
    *("bags/bag", "boxes/box", "boxes/box", "rows/row", "piles/pile", "baskets/basket", "parts/part"),
    *("groups/group", "heaps/heap", "jars/jar", "drawers/drawer"),
)
_LEFT = ("[one|only one|just one] {box} [is left|is kept|stays|remains]", "{who} keeps [one|only one] {box}")
_FRIENDS = ("friends/friend", "children/child", "people/person", "girls/girl", "boys/boy", "families/family")
_SHARE = ("one {friend} keeps [a|one|the] share", "[one|only one] share [is left|is kept|stays|remains]")
# What makes the kept sentences; it stands in no learned one, whatever is around it.
_KEPT = re.compile(
    r"\bstarts with \d|nother \d+ arrive|\d disappear|Soon there are \d+ times as many of them|"
    r"go into \d+ equal boxes|ow many \w+ remain"
)
_LARGEST = 9999
# Who reads on from "+91" looks for the 91 and for what stands behind it; if it was said twice, or two sentences are
# alike but for their numbers, one is easily skipped. Letters on the events of the first line, `12a/6b+91c`, would not
# help: sentences have none, so that the sentence of c would have to be counted off. What helps is to be taught it: some
# sentences come again word for word with another number, some numbers come again.
_SAME_SENTENCE, _SAME_NUMBER = 0.3, 0.1
_PLACE = "{n}"


def long_story(random: Random, *, held: bool, count: int | None = None) -> Problem:
    """One to four things happen, or so many, one after the other, to a number of things."""
    count = count or random.choice((1, 2, 2, 3, 3, 4, 4))
    while True:
        steps = _steps(random, count, again=0.0 if held else _SAME_NUMBER)
        if kept(" ".join(f"{a}{sign}{b}" for sign, a, b in steps)) == held and (held or not any_kept(steps)):
            break
    who, other = random.sample(NAMES, 2)
    words = {"who": who, "other": other, "things": random.choice(WORDS["things"]), "a": str(steps[0][1])}
    sentences = [_sentence(random, _BEGINNINGS, words, held=held)]
    sentences += _events(random, steps, words, held=held)
    sentences.append(_sentence(random, _ENDINGS, words, held=held))
    cell = f"story, {count} step{'s' * (count > 1)}"
    return Problem(cell, " ".join(sentences), str(result(steps[-1])), worked(steps, ahead=True))


def _events(random: Random, steps: list[Step], words: dict[str, str], *, held: bool) -> list[str]:
    """A sentence for every step; of a learned story it may be that of an earlier step of the same sign."""
    sentences, said = list[str](), dict[str, str]()
    for step in steps:
        sign, _, number = step
        if not held and sign in said and random.random() < _SAME_SENTENCE:
            sentences.append(said[sign].replace(_PLACE, str(number)))
            continue
        sentences.append(text := _event(random, step, words, held=held))
        if len(re.findall(rf"\b{number}\b", text)) == 1:
            said[sign] = re.sub(rf"\b{number}\b", _PLACE, text)
    return sentences


def _event(random: Random, step: Step, words: dict[str, str], *, held: bool) -> str:
    """What happens, by the number that it happens with, seldom by a word for that."""
    sign, _, number = step
    worded = _WORDED.get((sign, number), ())
    if worded and not held and random.random() < 0.3:
        return _learned(random, worded, words)
    return _sentence(random, _EVENTS[sign], words | {"n": str(number)}, held=held)


def _sentence(random: Random, frames: tuple[str, ...], words: dict[str, str], *, held: bool) -> str:
    """A learned one; to evaluate, the kept one half of the time."""
    if held and random.random() < 0.5:
        return frames[-1].format_map(words)
    return _learned(random, frames[:-1], words)


def _learned(random: Random, frames: tuple[str, ...], words: dict[str, str]) -> str:
    """Composed anew until nothing of it is kept."""
    while True:
        text = composed(random, random.choice(frames), _parts(random) | words)
        text = text[0].upper() + text[1:]
        if not _KEPT.search(text):
            return text


def _parts(random: Random) -> dict[str, str]:
    """One of each kind of part. When it happens is said before it, or after it, or not at all."""
    boxes, box = random.choice(_BOXES).split("/")
    friends, friend = random.choice(_FRIENDS).split("/")
    time = random.choice(("when", "when", "when", "end", ""))
    when, end = _WHEN if time == "when" else ("",), _END if time == "end" else ("",)
    choices = {"first": _FIRST, "when": when, "end": end, "place": _PLACES, "day": _DAYS, "all": _ALL}
    choices |= {"left": _LEFT, "share": _SHARE}
    drawn = {name: random.choice(texts) for name, texts in choices.items()}
    return drawn | {"boxes": boxes, "box": box, "friends": friends, "friend": friend}


def _steps(random: Random, count: int, again: float) -> list[Step]:
    """Operations on the number so far, which stays whole, positive and small; a number of an earlier one so often."""
    number, steps = random.randrange(2, 10 ** random.randrange(1, 4)), list[Step]()
    while len(steps) < count:
        sign = random.choice("++--*/")
        other = random.randrange(2, 10) if sign in "*/" else random.randrange(2, random.choice((10, 100, 300)))
        if steps and again and random.random() < again:
            sign, _, other = random.choice(steps)
        fits = {"+": True, "-": other < number, "*": number < 1000, "/": number % other == 0 and number > other}[sign]
        if fits and (new := result((sign, number, other))) <= _LARGEST:
            steps.append((sign, number, other))
            number = new
    return steps
