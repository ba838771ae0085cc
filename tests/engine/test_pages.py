"""Pages as integers: the pool against a plain model of it, and the arithmetic of windows by counting."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ossia.engine.pages import Key, Kind, PagePool, PageTable, span

SIZE = 5


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 64))
def test_span_is_the_most_pages_that_neighbours_touch(tokens: int, page_size: int):
    touched = [len({token // page_size for token in range(begin, begin + tokens)}) for begin in range(page_size)]
    assert span(tokens, page_size) == max(touched)


@settings(max_examples=50)
@given(st.integers(0, 500), st.one_of(st.none(), st.integers(1, 200)), st.integers(1, 64))
def test_pages_of_a_kind_are_those_that_hold_what_is_seen(length: int, window: int | None, page_size: int):
    kind = Kind("any", window, 1, page_size)
    seen = [key for key in range(length) if window is None or length - key < window]  # by the token that comes next
    pages = {key // page_size for key in seen}
    assert set(range(kind.first_page(length), kind.end_page(length))) == pages or not pages


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 100), st.integers(1, 32))
def test_most_pages_is_what_chunks_really_touch(length: int, chunk: int, window: int, page_size: int):
    kind = Kind("sliding", window, 1, page_size)
    touched = [kind.end_page(min(begin + chunk, length)) - kind.first_page(begin) for begin in range(0, length, chunk)]
    assert max(touched) <= kind.most_pages(length, chunk)


def test_a_table_keeps_its_place():
    table = PageTable(8)
    table.start_at(2)
    for page in (50, 51, 52):
        table.append(page)
    assert (table.held(), table.pages.tolist()) == ([50, 51, 52], [-1, -1, 50, 51, 52, -1, -1, -1])
    assert (table.pop_first(), table.pop(), table.held()) == (50, 52, [51])
    assert (table.first, table.end, table.pages.tolist()) == (3, 4, [-1, -1, -1, 51, -1, -1, -1, -1])


def test_the_page_idle_for_longest_is_forgotten_first():
    pool = PagePool(3)
    pages = [pool.take() for _ in range(3)]
    for number, page in enumerate(pages):
        pool.keep(page, (b"", (number,)), tail=False)
    for page in (pages[1], pages[0], pages[2]):
        pool.release(page)
    pool.hold(pages[1])  # found again, and used last from now on
    pool.release(pages[1])
    assert [pool.take() for _ in range(3)] == [pages[0], pages[2], pages[1]]
    assert pool.find((b"", (0,))) is None


def test_what_is_computed_again_is_as_good_as_used():
    pool = PagePool(3)
    first, second, third = (pool.take() for _ in range(3))
    pool.keep(first, (b"", (1,)), tail=False)
    pool.keep(second, (b"", (2,)), tail=False)
    pool.release(first)
    pool.release(second)
    pool.keep(third, (b"", (1,)), tail=False)
    assert pool.find((b"", (1,))) == first
    pool.release(third)  # a double: not findable, so free
    assert [pool.take(), pool.take()] == [third, second]


def test_tails_are_listed_longest_first_until_forgotten():
    pool = PagePool(2)
    page = pool.take()
    pool.keep(page, (b"p", (1, 2)), tail=True)
    pool.keep(page, (b"p", (1, 2, 3)), tail=True)
    pool.keep(page, (b"p", (1, 2, 3, 4)), tail=False)
    assert pool.tails(b"p") == [3, 2]
    assert pool.tails(b"q") == []
    pool.release(page)
    pool.forget_idle()
    assert pool.tails(b"p") == []
    assert pool.available == 2


def test_the_audit_finds_what_is_wrong():
    pool = PagePool(2)
    page = pool.take()
    pool.audit([[page]])
    for tables in ([], [[page], [page]], [[1 - page]]):
        with pytest.raises(AssertionError):
            pool.audit(tables)


class Pool(RuleBasedStateMachine):
    """A pool under any order of calls, beside a dict of who holds what and a dict of what was kept where."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(SIZE)
        self.held: list[int] = []
        self.kept: dict[Key, int] = {}

    @precondition(lambda self: self.pool.available)
    @rule()
    def take(self) -> None:
        page = self.pool.take()
        assert page not in self.held
        self.kept = {key: other for key, other in self.kept.items() if other != page}
        self.held.append(page)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        page = data.draw(st.sampled_from(self.held))
        self.held.remove(page)
        self.pool.release(page)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), parent=st.sampled_from([b"a", b"b"]), length=st.integers(1, 4))
    def keep(self, data: st.DataObject, parent: bytes, length: int) -> None:
        page, key = data.draw(st.sampled_from(self.held)), (parent, tuple(range(length)))
        self.pool.keep(page, key, tail=length < 4)
        self.kept.setdefault(key, page)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def find_and_hold(self, data: st.DataObject) -> None:
        page = self.pool.find(data.draw(st.sampled_from(sorted(self.kept))))
        assert page is not None
        self.pool.hold(page)
        self.held.append(page)

    @rule()
    def forget_idle(self) -> None:
        self.pool.forget_idle()
        self.kept = {key: page for key, page in self.kept.items() if page in self.held}

    @invariant()
    def books_agree(self) -> None:
        self.pool.audit([self.held])
        assert {key: self.pool.find(key) for key in self.kept} == self.kept
        assert self.pool.available == SIZE - len(set(self.held))
        for parent in (b"a", b"b"):
            tails = [len(tokens) for other, tokens in self.kept if other == parent and len(tokens) < 4]
            assert self.pool.tails(parent) == sorted(tails, reverse=True)


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=40, stateful_step_count=40)
