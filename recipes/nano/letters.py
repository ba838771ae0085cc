"""Letters of words: spelling, counting, reversing, first and last, upper and lower case, palindromes.

A word is a few tokens that say nothing of their letters; the working writes them one by one, each with its number. An
answer is tokens again: where letters were turned or changed, the last line of the working joins them to tokens.
"""

from collections.abc import Callable
from random import Random

from recipes.nano.conversation import vocabulary
from recipes.nano.problem import Problem, thoughts
from recipes.nano.words import word

__all__ = ["joined", "numbered", "pieces", "text_question"]

_SPELL = ("How do you spell {}?", "Spell {}.", "Spell the word {}", "spell {}")
_LENGTH = (
    "How many letters are in {}?",
    "How many letters has {}?",
    "How long is the word {}?",
    "Count the letters of {}.",
)
_COUNT = (
    "How many {l}'s are in {w}?",
    "How many times does {l} occur in {w}?",
    "How many {l} are in {w}?",
    "How often is the letter {l} in {w}?",
    "Count the letter {l} in {w}.",
)
_REVERSE = ("Reverse {}.", "Reverse the word {}", "Write {} backwards.", "What is {} backwards?", "Spell {} backwards.")
_FIRST = ("What is the first letter of {}?", "Which letter does {} begin with?", "First letter of {}?")
_LAST = ("What is the last letter of {}?", "Which letter does {} end with?", "Last letter of {}?")
_UPPER = ("Write {} in upper case.", "Put {} in capital letters.", "{} in upper case", "Capitalise every letter of {}.")
_LOWER = ("Write {} in lower case.", "Put {} in small letters.", "{} in lower case")
_PALINDROME = ("Is {} a palindrome?", "Does {} read the same backwards?", "Is the word {} a palindrome?")


def text_question(random: Random, *, held: bool) -> Problem:
    """A question of any kind about a word of at most twelve letters."""
    while len(one := word(random, held=held)) > 12:
        pass
    return random.choices(list(_KINDS), list(_KINDS.values()))[0](random, one)


def numbered(text: str) -> str:
    """Every letter with its number.

    >>> numbered("noon")
    'n1o2o3n4'
    """
    return "".join(f"{letter}{number}" for number, letter in enumerate(text, 1))


def joined(letters: str, numbers: range) -> str:
    """The letters as the tokens that they become, behind each the number of its last letter; there the next begins.

    >>> joined("rellorselp", range(10, 0, -1))
    're9ll7ors4el2p1'
    """
    text, done = "", 0
    for token in vocabulary().encode(letters):
        piece = vocabulary().decode([token])
        done += len(piece)
        text += f"{piece}{numbers[done - 1]}"
    return text


def pieces(text: str) -> str:
    """The tokens of a word, behind each its letters with their numbers: read off what stands just before them.

    >>> pieces("noonish"), pieces("ON")
    ('no:n1o2,on:o3n4,ish:i5s6h7', 'ON:O1N2')
    """
    parts, done = [], 0
    for token in vocabulary().encode(text):
        piece = vocabulary().decode([token])
        parts.append(f"{piece}:" + "".join(f"{letter}{done + number}" for number, letter in enumerate(piece, 1)))
        done += len(piece)
    return ",".join(parts)


Draw = Callable[[Random, str], Problem]


def _spelled(random: Random, one: str) -> Problem:
    return Problem("spell", random.choice(_SPELL).format(one), "-".join(one))


def _length(random: Random, one: str) -> Problem:
    return Problem("count letters", random.choice(_LENGTH).format(one), str(len(one)), thoughts(numbered(one)))


def _counted(random: Random, one: str) -> Problem:
    """One of its letters, seldom one that it has not; each that is met gets the next number."""
    letter = random.choice(one) if random.random() < 0.85 else random.choice("abcdefghijklmnopqrstuvwxyz")
    count, met = 0, ""
    for each in one:
        count += each == letter
        met += f"{each}{count}" if each == letter else each
        met += ","
    medium = ",".join(one)
    question = random.choice(_COUNT).format(l=letter, w=one)
    return Problem("count a letter", question, str(count), thoughts(medium, met.rstrip(",")))


def _reversed(random: Random, one: str) -> Problem:
    backwards = "".join(f"{one[number - 1]}{number}" for number in range(len(one), 0, -1))
    high = f"{numbered(one)}\n{backwards}\n{joined(one[::-1], range(len(one), 0, -1))}"
    return Problem("reverse", random.choice(_REVERSE).format(one), one[::-1], thoughts(numbered(one), high))


def _first(random: Random, one: str) -> Problem:
    return Problem("first letter", random.choice(_FIRST).format(one), one[0], thoughts("First.", numbered(one)))


def _last(random: Random, one: str) -> Problem:
    return Problem("last letter", random.choice(_LAST).format(one), one[-1], thoughts(",".join(one), numbered(one)))


def _upper(random: Random, one: str) -> Problem:
    question = random.choice(_UPPER).format(one)
    return Problem("upper case", question, one.upper(), thoughts(numbered(one), _changed(one, one.upper())))


def _lower(random: Random, one: str) -> Problem:
    asked = one.upper()
    question = random.choice(_LOWER).format(asked)
    return Problem("lower case", question, one, thoughts(numbered(asked), _changed(asked, one)))


def _changed(one: str, other: str) -> str:
    """Every letter of one by its tokens, then of the other with the same numbers; then the other's tokens.

    >>> _changed("noon", "NOON")
    'no:n1o2,on:o3n4\\nN1O2O3N4\\nN1O2ON4'
    """
    return f"{pieces(one)}\n{numbered(other)}\n{joined(other, range(1, len(other) + 1))}"


def _palindrome(random: Random, one: str) -> Problem:
    """Half of them are: the word's beginning, and that again backwards. Letters are compared from both ends."""
    if random.random() < 0.5:
        half = one[:4]
        one = half + half[::-1][random.randrange(2) :]
    steps = []
    for place in range(len(one) // 2):
        other = len(one) - 1 - place
        sign = "=" if one[place] == one[other] else "/"
        steps.append(f"{one[place]}{place + 1}{sign}{one[other]}{other + 1}")
        if sign == "/":
            break
    high = "\n".join([numbered(one), *([",".join(steps)] if steps else [])])
    answer = "Yes." if one == one[::-1] else "No."
    return Problem("palindrome", random.choice(_PALINDROME).format(one), answer, thoughts(numbered(one), high))


# How often each is drawn: tokens that change, and letters that are counted, are the hardest.
_KINDS: dict[Draw, int] = {
    _spelled: 1,
    _length: 1,
    _counted: 2,
    _reversed: 1,
    _first: 1,
    _last: 1,
    _upper: 2,
    _lower: 2,
    _palindrome: 1,
}
