"""Dates and weekdays: what day it is after so many, how far two dates are apart, leap years."""

from calendar import isleap, monthrange
from datetime import date, timedelta
from random import Random

from ossia.harmony import Effort
from recipes.nano.division import divided
from recipes.nano.problem import Problem, kept, thoughts, worded

__all__ = ["MONTHS", "WEEKDAYS", "calendar_question", "dated", "leap"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_AFTER = (
    "Today is {day}. What day is it in {n} days?",
    "Today is {day}. Which weekday is it after {n} days?",
    "It is {day}. What day of the week will it be in {n} days?",
    "Which day comes {n} days after {day}?",
    "If today is {day}, what day is it {n} days from now?",
)
_BEFORE = (
    "Today is {day}. What day was it {n} days ago?",
    "Which day is {n} days before {day}?",
    "It is {day}. Which weekday was it {n} days ago?",
)
_BETWEEN = (
    "How many days are between {a} and {b}?",
    "How many days is it from {a} to {b}?",
    "How many days are there from {a} until {b}?",
    "How many days between {a} and {b}?",
    "Count the days from {a} to {b}.",
)
_DATE_AFTER = (
    "What date is {n} days after {a}?",
    "Which date comes {n} days after {a}?",
    "It is {a}. What is the date in {n} days?",
    "Add {n} days to {a}.",
)
_WEEKDAY_OF = (
    "What day of the week [was|is] {d}?",
    "[What|Which] weekday [was|is] {d}?",
    "What weekday [is|was] it on {d}?",
    "[What|Which] day of the week [is|was] {d}?",
    "On [what|which] [weekday|day of the week] [was|is] {d}?",
    "[Tell me|Find] the [weekday|day of the week] of {d}[.|]",
    "Weekday of {d}[?|]",
    "[What|Which] day [was|is] {d}?",
)
# What a weekday moves by at the beginning of a month, in a year that is no leap year, and in one that is.
_MONTH_CODES = {"no": (0, 3, 3, 6, 1, 4, 6, 2, 5, 0, 3, 5), "leap": (6, 2, 3, 6, 1, 4, 6, 2, 5, 0, 3, 5)}
_CENTURY_CODES = {19: 0, 20: 6}
_LEAP = ("Is {} a leap year?", "Was {} a leap year?", "Does February {} have 29 days?", "Is the year {} a leap year?")


def calendar_question(random: Random, *, held: bool) -> Problem:
    """One question of any kind, of the kept ones or of the others."""
    draw = random.choices((_weekday, _between, _date_after, _leap_year, _weekday_of), (4, 4, 3, 2, 6))[0]
    while True:
        numbers, problem = draw(random)
        if kept(f"{problem.cell} {numbers}") == held:
            return problem


def leap(year: int) -> str:
    """Whether the year is one, by its last two digits, or by the first two where these are zero.

    >>> leap(2024), leap(1900)
    ('24/4=6r0:leap', '00:19/4=4r3:no')
    """
    century, rest = divmod(year, 100)
    number = rest or century
    verdict = "leap" if isleap(year) else "no"
    return f"{'' if rest else '00:'}{number:02d}/4={number // 4}r{number % 4}:{verdict}"


def _weekday(random: Random) -> tuple[str, Problem]:
    """Weekdays count from 1; only what is left by 7 moves them."""
    first, count, back = (
        random.randrange(7),
        random.randrange(1, random.choice((10, 32, 100, 400))),
        random.random() < 0.3,
    )
    rest = count % 7
    moved = first + 1 - rest if back else first + 1 + rest
    last = (moved - 1) % 7
    sign = "-" if back else "+"
    lines = [f"{count}/7", divided(count, 7, Effort.HIGH), f"{WEEKDAYS[first]} {first + 1}{sign}{rest}={moved}"]
    if moved != last + 1:
        lines.append(f"{moved}{'-' if moved > 7 else '+'}7={last + 1}")
    lines.append(f"{last + 1} {WEEKDAYS[last]}")
    question = random.choice(_BEFORE if back else _AFTER).format(day=WEEKDAYS[first], n=count)
    if count == 1:
        question = question.replace("1 days", "1 day")
    # The last day's number and name are a glance, as the steps by 7 are.
    medium = f"{divided(count, 7, Effort.MEDIUM)},{first + 1}{sign}{rest}={moved}"
    return f"{first} {count}", Problem("weekday", question, WEEKDAYS[last], thoughts(medium, "\n".join(lines)))


def _between(random: Random) -> tuple[str, Problem]:
    """What is left of the first month, whole months, the days of the last; each added to the sum so far."""
    first = _day(random)
    last = first + timedelta(random.randrange(1, random.choice((28, 60, 150))))
    if random.random() < 0.3:
        first = first.replace(month=random.randrange(1, 7), day=random.choice((1, 1, random.randrange(1, 29))))
        last = date(first.year, 12, 31) - timedelta(random.randrange(183))
    lines, sums = [], []
    if (first.year, first.month) == (last.year, last.month):
        lines.append(f"{last.day}-{first.day}={last.day - first.day}")
    else:
        length, name = _month(first.year, first.month)
        total = length - first.day
        lines.append(f"{name} {length}-{first.day}={total}")
        for year, month in _months(first, last):
            whole = (year, month) != (last.year, last.month)
            days, name = _month(year, month) if whole else (last.day, MONTHS[month - 1])
            lines.append(f"{name} {days}")
            sums.append(f"{total}+{days}={total + days}")
            total += days
    answer = str((last - first).days)
    question = random.choice(_BETWEEN).format(a=first, b=last)
    return f"{first} {last}", Problem(
        "days between", question, answer, thoughts(",".join(lines), "\n".join(lines + sums))
    )


def _date_after(random: Random) -> tuple[str, Problem]:
    first, count = _day(random), random.randrange(1, 41)
    last = first + timedelta(count)
    day, lines = first.day + count, [f"{first.day}+{count}={first.day + count}"]
    year, month = first.year, first.month
    while day > (length := monthrange(year, month)[1]):
        lines.append(f"{_month(year, month)[1]} {length}:{day}-{length}={day - length}")
        day -= length
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    # That a day is the 29th of February has to be known from the year as well.
    lines.append(f"{_month(year, month)[1] if day == 29 else MONTHS[month - 1]} {day}")
    question = random.choice(_DATE_AFTER).format(n=count, a=first)
    return f"{first} {count}", Problem("date after", question, str(last), thoughts(lines[0], "\n".join(lines)))


def _leap_year(random: Random) -> tuple[str, Problem]:
    year = 100 * random.randrange(16, 25) if random.random() < 0.25 else random.randrange(1600, 2400)
    question, answer = random.choice(_LEAP).format(year), "Yes." if isleap(year) else "No."
    return str(year), Problem("leap year", question, answer, thoughts(leap(year)))


def _weekday_of(random: Random) -> tuple[str, Problem]:
    """Of a day from 1900 to 2099, in any of three ways to write it."""
    day = date(1900, 1, 1) + timedelta(random.randrange(73049))
    if random.random() < 0.1:
        day = day.replace(year=random.choice((1900, 2000)), day=min(day.day, 28))
    name = MONTHS[day.month - 1]
    form = random.choice((str(day), str(day), f"{day.day} {name} {day.year}", f"{name} {day.day}, {day.year}"))
    question = worded(random, random.choice(_WEEKDAY_OF)).format(d=form)
    medium, high = (dated(day, effort) for effort in (Effort.MEDIUM, Effort.HIGH))
    return str(day), Problem("weekday of a date", question, WEEKDAYS[day.weekday()], thoughts(medium, high))


def dated(day: date, effort: Effort) -> str:
    """The weekday of a date: codes of century and month, the year and a quarter of it, and the day, are added up.

    >>> print(dated(date(2024, 2, 29), Effort.HIGH))
    c20=6,y24/4=6r0:leap,m02=February=2,d29
    c6+y24=30,30+6=36,36+m2=38,38+d29=67
    67/7
    a6b7/x7
    a06=0r6b67=9r4
    =9r4
    4 Thursday
    >>> dated(date(2024, 2, 29), Effort.MEDIUM)
    '6,24/4=6r0:leap,2,29,67,0r6,9r4'
    """
    century, year = divmod(day.year, 100)
    known = leap(day.year)
    codes = [_CENTURY_CODES[century], year, year // 4, _MONTH_CODES[known.split(":")[-1]][day.month - 1], day.day]
    total = sum(codes)
    if effort is not Effort.HIGH:
        return f"{codes[0]},{known},{codes[3]},{day.day},{total},{divided(total, 7, effort)}"
    labels = f"c{century}={codes[0]},y{known},m{day.month:02d}={MONTHS[day.month - 1]}={codes[3]},d{day.day}"
    sums, so_far = list[str](), f"c{codes[0]}"
    for number, code in enumerate(codes[1:], 1):
        value = sum(codes[: number + 1])
        sums.append(f"{so_far}+{('y', '', 'm', 'd')[number - 1]}{code}={value}")
        so_far = str(value)
    rest = f"{total % 7} {WEEKDAYS[day.weekday()]}"
    return "\n".join([labels, ",".join(sums), f"{total}/7", divided(total, 7, effort), rest])


def _day(random: Random) -> date:
    return date(2000, 1, 1) + timedelta(random.randrange(365 * 40))


def _month(year: int, month: int) -> tuple[int, str]:
    """Its length, and its name with whatever says that length: only February has to look at the year.

    >>> _month(2028, 2), _month(2027, 3)
    ((29, 'February 28/4=7r0:leap'), (31, 'March'))
    """
    name = MONTHS[month - 1]
    return monthrange(year, month)[1], f"{name} {leap(year)}" if month == 2 else name


def _months(first: date, last: date) -> list[tuple[int, int]]:
    """Year and month of every month after that of the first day, to that of the last."""
    numbers = range(12 * first.year + first.month, 12 * last.year + last.month)
    return [(number // 12, number % 12 + 1) for number in numbers]
