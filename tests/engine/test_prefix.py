"""Going on from a prefix: what is found, what is copied, and who may share with whom."""

import pytest

from ossia.engine.pages import Kind
from ossia.engine.prefix import Holding, Ledger, root

SIZE = 4
WINDOW = 6
START = root(["", "backend", "exact"], b"")

Copies = list[tuple[str, int, int]]


def ledger(full: int = 16, sliding: int = 16, copies: Copies | None = None) -> Ledger:
    kinds = [Kind("full", None, full, SIZE), Kind("sliding", WINDOW, sliding, SIZE)]
    return Ledger(kinds, SIZE, 64, lambda *copy: (copies if copies is not None else []).append(copy))


def opened(books: Ledger, tokens: list[int], start: bytes = START) -> Holding:
    holding = Holding(list(tokens), start, SIZE)
    books.open(holding)
    return holding


def compute(books: Ledger, holding: Holding, length: int, marks: tuple[int, ...] = ()) -> None:
    books.reserve(holding, length)
    books.commit(holding, length, marks)
    books.audit([holding])


def computed_and_closed(books: Ledger, tokens: list[int], marks: tuple[int, ...] = (), start: bytes = START) -> None:
    holding = opened(books, tokens, start)
    compute(books, holding, len(tokens), marks)
    books.close(holding)
    books.audit([])


TEXT = list(range(100, 130))


def test_a_request_goes_on_from_where_another_ended():
    books = ledger()
    computed_and_closed(books, TEXT)
    assert opened(books, [*TEXT, 1, 2]).computed == 30


def test_at_least_the_last_token_is_left_to_compute():
    books = ledger()
    computed_and_closed(books, TEXT, marks=(29,))
    assert opened(books, TEXT).computed == 29


def test_a_conversation_that_parts_in_the_middle_goes_on_from_the_last_mark_before():
    books = ledger(sliding=24)
    computed_and_closed(books, TEXT, marks=(9, 21))
    for same, expected in ((30, 30), (29, 21), (21, 21), (20, 9), (9, 9), (8, 0), (0, 0)):
        holding = opened(books, [*TEXT[:same], 1, 2, 3])
        assert holding.computed == expected, same
        books.close(holding)
        books.audit([])


def test_two_marks_close_together_keep_whole_windows_between_them():
    books = ledger(sliding=24)
    computed_and_closed(books, TEXT, marks=(16, 21))  # windows of 11 to 15 and 16 to 20: pages 2, 3, 4 and a tail
    assert opened(books, [*TEXT[:20], 1, 2, 3]).computed == 20


def test_without_a_mark_the_sliding_layers_have_forgotten():
    books = ledger()
    computed_and_closed(books, TEXT)
    assert opened(books, [*TEXT[:20], 1]).computed == 0


def test_a_tail_is_copied_for_whoever_goes_on_from_it():
    copies: Copies = []
    books = ledger(copies=copies)
    first = opened(books, TEXT[:10])
    compute(books, first, 10, marks=(10,))
    second = opened(books, [*TEXT[:10], 1, 2])
    assert second.computed == 10
    shared = {name: (first.tables[name].held(), second.tables[name].held()) for name in ("full", "sliding")}
    assert copies == [(name, mine[-1], yours[-1]) for name, (mine, yours) in shared.items()][::-1]
    for mine, yours in shared.values():
        assert (mine[:-1], mine[-1] != yours[-1]) == (yours[:-1], True)
    books.audit([first, second])


def test_whole_pages_are_shared_without_a_copy():
    copies: Copies = []
    books = ledger(copies=copies)
    first = opened(books, TEXT[:12])
    compute(books, first, 12, marks=(12,))
    second = opened(books, [*TEXT[:12], 1])
    assert (second.computed, copies) == (12, [])
    assert second.tables["full"].held() == first.tables["full"].held()
    books.audit([first, second])


def test_the_maker_of_a_tail_writes_on_behind_it():
    books = ledger()
    first = opened(books, TEXT[:10])
    compute(books, first, 10, marks=(10,))
    before = first.tables["full"].held()
    first.tokens.append(77)
    compute(books, first, 11)
    assert first.tables["full"].held() == before


@pytest.mark.parametrize(
    "other",
    [
        root(["adapter", "backend", "exact"], b""),
        root(["", "backend", "fast"], b""),
        root(["", "backend", "exact"], b"k"),
    ],
)
def test_nothing_is_shared_across_adapter_precision_and_salt(other: bytes):
    books = ledger()
    computed_and_closed(books, TEXT)
    assert opened(books, [*TEXT, 1], other).computed == 0


def test_a_root_tells_its_parts_apart():
    assert root(["ab", "c"], b"") != root(["a", "bc"], b"")
    assert root(["a"], b"b") != root(["a", "b"], b"")


def test_a_prefix_gone_from_one_kind_is_gone():
    for name in ("full", "sliding"):
        books = ledger()
        computed_and_closed(books, TEXT, marks=(12,))
        books.pools[name].forget_idle()
        assert opened(books, [*TEXT, 1]).computed == 0
        books.audit([])


def test_a_chunk_shrinks_to_the_room_there_is():
    books = ledger(full=5)
    holding = opened(books, TEXT)
    assert books.room(holding) == 20
    compute(books, holding, 18)
    assert books.room(holding) == 2
    assert not books.fits(holding, books.spare([]))


def test_sliding_layers_hold_no_more_than_the_window():
    books = ledger()
    holding = opened(books, TEXT)
    for length in range(1, 31):
        compute(books, holding, length)
        positions = range(max(0, length - WINDOW + 1), length)
        assert len(holding.tables["sliding"].held()) == len({position // SIZE for position in positions})


def test_what_was_guessed_wrong_leaves_no_pages():
    books = ledger()
    holding = opened(books, TEXT)
    books.reserve(holding, 23)
    books.commit(holding, 15, ())
    books.audit([holding])
    assert len(holding.tables["full"].held()) == 4


def test_a_tail_that_finds_no_page_for_its_copy_falls_back_to_whole_pages():
    books = ledger(full=3)
    first = opened(books, TEXT[:10])
    compute(books, first, 8, marks=(8,))
    compute(books, first, 10, marks=(10,))
    second = opened(books, [*TEXT[:10], 1])
    assert second.computed == 8
    books.audit([first, second])
