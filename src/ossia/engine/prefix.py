"""Which pages each request holds, and going on from a prefix that was computed before.

A page is found by a digest of all tokens before it and the tokens in it; the chain of digests begins with what else
changes keys and values (adapter, backend, precision) and a salt. A full layer's pages are kept findable as soon as they
are full. A sliding layer gives its pages back behind the window, so its window is kept only at *marks*: the end of a
prompt, the end of a request, and after control tokens that end a message. Keeping is a reference, not a copy: the
pages are merely findable, and stay as long as nobody needs the room. At a mark inside a page, that page is kept as a
tail in every kind of layer; whoever goes on from a tail gets a copy to write to, while the request that made it
only ever writes behind it.

So a prompt that leaves an earlier one in the middle of a conversation goes on from the last mark before the parting. If
the full layers still have more than that, the parting itself becomes a mark: what two prompts share, a third will too.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence

from ossia.engine.pages import CopyPage, Key, Kind, PagePool, PageTable

__all__ = ["Holding", "Ledger", "root"]

DIGEST_BYTES = 16
"""128 bits: by the birthday bound 2^32 pages collide with probability 2^-65."""


def root(parts: Iterable[str], salt: bytes) -> bytes:
    """What a chain of digests begins with. Requests share pages only if they agree in all of it."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in (*(part.encode() for part in parts), salt):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


class Holding:
    """What one request has in the cache: its pages, and the keys and values of its first `computed` tokens in them.

    `tokens` is the request's own list: it may grow, and what is computed of it never changes. `parting` is how many of
    them the full layers already had, in whole pages, when the request was opened. `owner` is for whom its pages are
    kept.
    """

    __slots__ = ("_digests", "_page_size", "computed", "owner", "parting", "tables", "tokens")

    def __init__(self, tokens: list[int], start: bytes, page_size: int, owner: bytes = b"") -> None:
        self.tokens = tokens
        self.owner = owner
        self.computed = 0
        self.parting = 0
        self.tables: dict[str, PageTable] = {}
        self._digests = [start]
        self._page_size = page_size

    def with_tokens(self, tokens: list[int]) -> "Holding":
        """Another request that shares pages with this one as far as their tokens agree; it holds nothing yet."""
        return Holding(tokens, self._digests[0], self._page_size, self.owner)

    def digest(self, page: int) -> bytes:
        """The digest of all tokens before this page."""
        size, digests = self._page_size, self._digests
        while len(digests) <= page:
            end = len(digests) * size
            content = array("i", self.tokens[end - size : end]).tobytes()
            digests.append(hashlib.blake2b(digests[-1] + content, digest_size=DIGEST_BYTES).digest())
        return digests[page]

    def key(self, page: int, length: int) -> Key:
        """What this page holds of the first `length` tokens."""
        begin = page * self._page_size
        return self.digest(page), tuple(self.tokens[begin : min(begin + self._page_size, length)])

    def same(self, other: "Holding") -> bool:
        """Whether another request has the very same tokens, and may share their pages."""
        length = len(self.tokens)
        if length != len(other.tokens):
            return False
        page = (length - 1) // self._page_size
        return self.key(page, length) == other.key(page, length)


class Ledger:
    """The books of every kind of layer together."""

    def __init__(self, kinds: Sequence[Kind], page_size: int, context: int, copy_page: CopyPage) -> None:
        # Sliding kinds first: their lookups are short and fail more often.
        self.kinds = sorted(kinds, key=lambda kind: kind.window is None)
        self.pools = {kind.name: PagePool(kind.pages) for kind in kinds}
        self._page_size = page_size
        self._context = context
        self._copy_page = copy_page

    def open(self, holding: Holding) -> None:
        """Give a request its tables and the longest prefix of its tokens that is kept, at most all but the last."""
        holding.tables = self._empty_tables()
        limit = len(holding.tokens) - 1
        reach = self._reach(holding, limit // self._page_size)
        holding.computed, holding.parting = 0, reach * self._page_size
        for length in self._lengths(holding, reach, limit):
            found = self._find(holding, length)
            if found is not None and self._adopt(holding, length, found):
                return

    def has(self, holding: Holding) -> bool:
        """Whether all of a request's tokens are kept."""
        return self._find(holding, len(holding.tokens)) is not None

    def lay_out(self, holding: Holding) -> bool:
        """Give a request pages for tokens that were computed elsewhere; False, and none, where there is no room."""
        length = len(holding.tokens)
        holding.tables = self._empty_tables()
        for kind in self.kinds:
            holding.tables[kind.name].start_at(kind.first_page(length))
        if length > self._context or self.room(holding) < length:
            return False
        self.reserve(holding, length)
        return True

    def room(self, holding: Holding) -> int:
        """How many more tokens of this request can be computed with the pages there are."""
        return (
            self._page_size * min(holding.tables[name].end + pool.available for name, pool in self.pools.items())
            - holding.computed
        )

    def spare(self, holdings: Sequence[Holding]) -> list[int]:
        """How many pages of each kind can be taken beyond those that these still lack for all of their tokens."""
        return [
            self.pools[kind.name].available - sum(_lacks(holding, kind) for holding in holdings) for kind in self.kinds
        ]

    def fits(self, holding: Holding, spare: Sequence[int]) -> bool:
        """Whether all of an opened request's tokens, and one more, find pages (in sliding kinds: its window)."""
        return all(_lacks(holding, kind) <= pages for kind, pages in zip(self.kinds, spare, strict=True))

    def reserve(self, holding: Holding, length: int) -> None:
        """Have pages for the first `length` tokens; there must be `room`."""
        for kind in self.kinds:
            table, pool = holding.tables[kind.name], self.pools[kind.name]
            while table.end < kind.end_page(length):
                table.append(pool.take())

    def commit(self, holding: Holding, length: int, marks: Iterable[int]) -> None:
        """The first `length` tokens are now computed: keep what is full or marked, give back what nobody will look at.

        Slots written beyond `length` count as never written.
        """
        for page in range(holding.computed // self._page_size, length // self._page_size):
            self._keep_full(holding, page)
        holding.computed = length
        for mark in marks:
            self._keep_mark(holding, mark)
        for kind in self.kinds:
            table, first = holding.tables[kind.name], kind.first_page(length)
            while table.first < first:
                self.pools[kind.name].release(table.pop_first())
        self.trim(holding)

    def trim(self, holding: Holding) -> None:
        """Give back the pages reserved beyond what is computed."""
        for kind in self.kinds:
            table, end = holding.tables[kind.name], kind.end_page(holding.computed)
            while table.end > end:
                self.pools[kind.name].release(table.pop())

    def close(self, holding: Holding) -> None:
        """Take all pages back; what was computed stays findable, its end included."""
        self._keep_mark(holding, holding.computed)
        for name, table in holding.tables.items():
            # The last page first, so that it is also forgotten first: a beginning serves more prompts than an end.
            while table.end > table.first:
                self.pools[name].release(table.pop())
        holding.tables, holding.computed = {}, 0

    def audit(self, holdings: Sequence[Holding]) -> None:
        """Raise AssertionError unless every page is accounted for and every table covers what its request needs."""
        for kind in self.kinds:
            tables = [holding.tables[kind.name] for holding in holdings]
            self.pools[kind.name].audit([table.held() for table in tables])
            for holding, table in zip(holdings, tables, strict=True):
                needed = kind.first_page(holding.computed), kind.end_page(holding.computed)
                assert (table.first, table.end) == needed, "a table covers more or less than its request needs"
                assert all(page >= 0 for page in table.held()), "a page in use is missing"
                assert int((table.pages >= 0).sum()) == table.end - table.first, "a page given back is still listed"

    def _empty_tables(self) -> dict[str, PageTable]:
        return {kind.name: PageTable(kind.end_page(self._context)) for kind in self.kinds}

    def _keep_full(self, holding: Holding, page: int) -> None:
        key = holding.key(page, (page + 1) * self._page_size)
        for kind in self.kinds:
            if kind.window is None:
                self.pools[kind.name].keep(
                    int(holding.tables[kind.name].pages[page]), key, tail=False, owner=holding.owner
                )

    def _keep_mark(self, holding: Holding, length: int) -> None:
        if length == 0:
            return
        tail = length // self._page_size
        for kind in self.kinds:
            first = tail if kind.window is None else kind.first_page(length)
            for page in range(first, kind.end_page(length)):
                held = int(holding.tables[kind.name].pages[page])
                self.pools[kind.name].keep(held, holding.key(page, length), tail=page == tail, owner=holding.owner)

    def _lengths(self, holding: Holding, reach: int, limit: int) -> Iterator[int]:
        """The lengths of prefixes that may be kept, longest first: at most `reach` pages and a tail, up to `limit`."""
        some = self.pools[self.kinds[0].name]
        for page in range(reach, -1, -1):
            begin = page * self._page_size
            for tail in some.tails(holding.digest(page)):
                if begin + tail <= limit:
                    yield begin + tail
            if page:
                yield begin

    def _reach(self, holding: Holding, limit: int) -> int:
        """How many of the first `limit` pages the full layers have without a gap."""
        pools = [self.pools[kind.name] for kind in self.kinds if kind.window is None]
        for page in range(limit if pools else 0):
            key = holding.key(page, (page + 1) * self._page_size)
            if any(pool.find(key) is None for pool in pools):
                return page
        return limit

    def _find(self, holding: Holding, length: int) -> dict[str, list[int]] | None:
        """By kind, the pages that a request of which `length` tokens are computed would hold; None if any is gone."""
        found: dict[str, list[int]] = {}
        for kind in self.kinds:
            pool, pages = self.pools[kind.name], list[int]()
            for index in range(kind.end_page(length) - 1, kind.first_page(length) - 1, -1):
                page = pool.find(holding.key(index, length))
                if page is None:
                    return None
                pages.append(page)
            found[kind.name] = pages[::-1]
        return found

    def _adopt(self, holding: Holding, length: int, found: dict[str, list[int]]) -> bool:
        """Hold these pages; False, and nothing held, if a tail cannot be copied for want of a page."""
        for kind in self.kinds:
            table = holding.tables[kind.name]
            table.start_at(kind.first_page(length))
            for page in found[kind.name]:
                self.pools[kind.name].hold(page)
                table.append(page)
        holding.computed = length
        if length % self._page_size == 0:
            return True
        if any(pool.available == 0 for pool in self.pools.values()):
            self._drop(holding)
            return False
        for name, table in holding.tables.items():
            source, target = table.pop(), self.pools[name].take()
            self._copy_page(name, source, target)
            table.append(target)
            self.pools[name].release(source)
        return True

    def _drop(self, holding: Holding) -> None:
        for name, table in holding.tables.items():
            while table.end > table.first:
                self.pools[name].release(table.pop())
            table.start_at(0)
        holding.computed = 0


def _lacks(holding: Holding, kind: Kind) -> int:
    """How many pages all of a request's tokens, and one more, need beyond those it holds."""
    table = holding.tables[kind.name]
    return max(0, kind.most_pages(len(holding.tokens) + 1, chunk=1) - (table.end - table.first))
