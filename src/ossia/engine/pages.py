"""Pages of the cache, as plain integers: which are free, who holds which, and how one is found again.

Layers come in kinds: full ones see every earlier token, sliding ones a window of W. Each kind has a stock of pages of
its own and each request a table for each kind, so that a sliding layer's pages go back once the window has passed.

**Page size** B, in tokens. Sharing and giving back are counted in pages, so a request wastes up to B - 1 slots of each
kind, and n neighbouring tokens that begin anywhere touch at most `span(n)` = (n + B - 2) // B + 1 pages. A window of
128 thus takes 17 pages of 8 (136 slots), 9 of 16 (144), 5 of 32 (160) or 3 of 64 (192); the tables and the work per
page halve with each doubling. 16 is the default: an eighth more slots than the window, and one head's keys in a page
are still 2 KiB in bfloat16 (16 * 64 * 2).

**Slots for a chunk.** The first of C tokens computed together sees the W - 1 before it, so a sliding layer needs
W - 1 + C neighbouring slots: `span(W - 1 + C)` pages during the step, `span(W - 1)` after it. A request that brings
k + 1 tokens, k of which may be taken back, is a chunk of k + 1: window + k slots. Pages behind the window go back only
after the step has settled how many of the k stay.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["CopyPage", "Key", "Kind", "PagePool", "PageTable", "span"]

Key = tuple[bytes, tuple[int, ...]]
"""What a page holds: a digest of all before it, and its own first tokens (fewer than the page size: a tail)."""

CopyPage = Callable[[str, int, int], None]
"""Makes one page hold what another holds: kind, source, target."""


@dataclass(frozen=True)
class Kind:
    """One kind of layer: its name in the model's config, its window (None: sees all) and how many pages it has."""

    name: str
    window: int | None
    pages: int
    page_size: int

    def first_page(self, position: int) -> int:
        """The first page in the table that a token at `position` sees a key of."""
        return 0 if self.window is None else max(0, position - self.window + 1) // self.page_size

    def end_page(self, length: int) -> int:
        """The number of pages that `length` tokens reach into, from the first on."""
        return -(-length // self.page_size)

    def most_pages(self, length: int, chunk: int) -> int:
        """The most pages that a request of `length` tokens holds at once, computed in chunks of `chunk` tokens."""
        every = self.end_page(length)
        return every if self.window is None else min(every, span(self.window - 1 + chunk, self.page_size))


def span(tokens: int, page_size: int) -> int:
    """The most pages that so many neighbouring tokens touch."""
    return (tokens + page_size - 2) // page_size + 1


class PageTable:
    """The pages of one request in one kind of layer: those of positions first * B up to end * B."""

    __slots__ = ("end", "first", "pages")

    def __init__(self, most: int) -> None:
        self.pages = np.full(most, -1, np.int32)
        self.first = 0
        self.end = 0

    def held(self) -> list[int]:
        """The pages held, in order of position."""
        return self.pages[self.first : self.end].tolist()

    def append(self, page: int) -> None:
        """The page of the next positions."""
        self.pages[self.end] = page
        self.end += 1

    def pop(self) -> int:
        """Take the last page out."""
        self.end -= 1
        page = int(self.pages[self.end])
        self.pages[self.end] = -1
        return page

    def pop_first(self) -> int:
        """Take the first page out."""
        page = int(self.pages[self.first])
        self.pages[self.first] = -1
        self.first += 1
        return page

    def start_at(self, index: int) -> None:
        """Begin, still empty, at this page: those before it are behind the window."""
        self.first = self.end = index


class PagePool:
    """A fixed stock of pages for one kind of layer, shared by reference count.

    A page is free; or held by one request or more; or idle: held by none, but findable by what it holds. When no page
    is free, the one idle for longest is forgotten and used.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = list(range(size - 1, -1, -1))  # a stack: pages used before are used again, untouched ones stay so
        self._holders = [0] * size
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._page: dict[Key, int] = {}
        self._keys: dict[int, list[Key]] = {}
        self._owner: dict[int, bytes] = {}
        self._tails: dict[bytes, Counter[int]] = {}

    @property
    def available(self) -> int:
        """How many pages can be taken."""
        return len(self._free) + len(self._idle)

    @property
    def idle(self) -> int:
        """How many pages nobody holds that could be found again."""
        return len(self._idle)

    def take(self) -> int:
        """A page for new content, held once. There must be one `available`."""
        page = self._free.pop() if self._free else self._forget_oldest()
        self._holders[page] = 1
        return page

    def hold(self, page: int) -> None:
        """One holder more for a page that was found."""
        if self._holders[page] == 0:
            del self._idle[page]
        self._holders[page] += 1

    def release(self, page: int) -> None:
        """One holder less. The last one leaves the page idle, or free if it cannot be found again."""
        self._holders[page] -= 1
        if self._holders[page] == 0:
            if page in self._keys:
                self._idle[page] = None
            else:
                self._free.append(page)

    def keep(self, page: int, key: Key, tail: bool, owner: bytes = b"") -> None:
        """Make a held page findable by `key`, for `owner`; another page that already is stays the one found."""
        if key in self._page:
            if self._page[key] in self._idle:
                self._idle.move_to_end(self._page[key])
            return
        self._page[key] = page
        self._keys.setdefault(page, []).append(key)
        self._owner[page] = owner
        if tail:
            self._tails.setdefault(key[0], Counter())[len(key[1])] += 1

    def find(self, key: Key) -> int | None:
        """The page that holds this, or None."""
        return self._page.get(key)

    def tails(self, parent: bytes) -> list[int]:
        """How long the tails are that are kept after `parent`, longest first."""
        return sorted(self._tails.get(parent, ()), reverse=True)

    def forget_idle(self, owner: bytes | None = None) -> None:
        """Free every page that nobody holds; with `owner`, only those kept for it."""
        for page in [page for page in self._idle if owner is None or self._owner[page] == owner]:
            self._forget(page)
            self._free.append(page)

    def audit(self, tables: Iterable[Iterable[int]]) -> None:
        """Raise AssertionError unless the books agree with the page tables."""
        held = Counter(page for table in tables for page in table)
        assert all(self._holders[page] == held[page] for page in range(self.size)), "tables and counts disagree"
        assert sorted([*self._free, *self._idle, *held]) == list(range(self.size)), "a page is lost, double or both"
        assert all(page in self._keys for page in self._idle), "an idle page cannot be found"
        assert not any(page in self._keys for page in self._free), "a free page can be found"
        listed = {key: page for page, keys in self._keys.items() for key in keys}
        assert listed == self._page, "keys and pages disagree"
        assert self._owner.keys() == self._keys.keys(), "a page is kept for nobody, or a free one for somebody"
        assert all(count > 0 for lengths in self._tails.values() for count in lengths.values()), "a tail without a page"

    def _forget_oldest(self) -> int:
        page = next(iter(self._idle))
        self._forget(page)
        return page

    def _forget(self, page: int) -> None:
        del self._idle[page], self._owner[page]
        for key in self._keys.pop(page):
            del self._page[key]
            self._forget_tail(*key)

    def _forget_tail(self, parent: bytes, tokens: tuple[int, ...]) -> None:
        lengths = self._tails.get(parent)
        if lengths is None or len(tokens) not in lengths:
            return
        lengths[len(tokens)] -= 1
        if lengths[len(tokens)] == 0:
            del lengths[len(tokens)]
        if not lengths:
            del self._tails[parent]
