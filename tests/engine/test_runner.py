"""A step's shares as a batch, built by hand and compared field by field."""

import numpy as np

from ossia.config import FULL, SLIDING
from ossia.engine import LoadedModel, SamplingParams
from ossia.engine.pages import Kind
from ossia.engine.prefix import Holding, Ledger
from ossia.engine.request import Request, Share
from ossia.engine.runner import Runner
from tests.engine.counting import CountingOps, counting_model

KINDS = [Kind(SLIDING, 7, 8, 4), Kind(FULL, None, 16, 4)]


def running(ledger: Ledger, tokens: list[int], computed: int, end: int, adapter: int = -1) -> Share:
    request = Request(
        0,
        Holding(tokens, b"", 4),
        SamplingParams(),
        seed=0,
        max_tokens=5,
        stop_tokens=frozenset(),
        vocab_size=53,
        adapter=adapter,
    )
    ledger.open(request.holding)
    ledger.reserve(request.holding, computed)
    ledger.commit(request.holding, computed, ())
    ledger.reserve(request.holding, end)
    return Share(request, computed, end)


def shares(ledger: Ledger) -> list[Share]:
    return [running(ledger, list(range(20, 33)), 12, 13, adapter=1), running(ledger, [1, 2, 3, 4, 5, 6], 0, 5)]


def test_a_batch_says_where_everything_is(counting: LoadedModel):
    ledger = Ledger(KINDS, 4, 64, lambda *_: None)
    decode, prefill = shares(ledger)
    batch = Runner(counting, KINDS).batch([decode, prefill], [0])
    assert batch.tokens.tolist() == [32, 1, 2, 3, 4, 5]
    assert batch.positions.tolist() == [12, 0, 1, 2, 3, 4]
    assert batch.starts.tolist() == [0, 1, 6]
    assert batch.logit_rows.tolist() == [0]
    assert (batch.page_size, batch.adapters) == (4, None)
    assert batch.pages is not None
    assert batch.pages[FULL].table.tolist() == [[0, 1, 2, 3], [4, 5, -1, -1]]
    assert batch.pages[FULL].slots.tolist() == [12, 16, 17, 18, 19, 20]
    # The window of 7 begins at position 6 for the token at 12: page 0 of the first request was given back, and the
    # second request got it.
    table = batch.pages[SLIDING].table
    assert table[0, 0] == -1
    assert (table[0, 1:] >= 0).all()
    assert batch.pages[SLIDING].slots.tolist() == [
        table[0, 3] * 4, *(table[1, 0] * 4 + np.arange(4)), table[1, 1] * 4,
    ]  # fmt: skip
    for array in (batch.tokens, batch.positions, batch.starts, batch.logit_rows, table, batch.pages[SLIDING].slots):
        assert array.dtype == np.int32


def test_every_token_carries_its_requests_adapter():
    model = counting_model(adapters=("one", "two"))
    batch = Runner(model, KINDS).batch(shares(Ledger(KINDS, 4, 64, lambda *_: None)), [])
    assert batch.adapters is not None
    assert (batch.adapters.tolist(), batch.adapters.dtype) == ([1, -1, -1, -1, -1, -1], np.int32)


def test_a_step_that_draws_nothing_reads_nothing_out(counting: LoadedModel):
    runner = Runner(counting, KINDS)
    wanted = [running(Ledger(KINDS, 4, 64, lambda *_: None), [1, 2, 3, 4, 5, 6], 0, 5)]
    assert runner.forward(wanted, []) is None
    x = runner.forward(wanted, [0, 4])
    assert x is not None
    assert x.shape == (2, counting.config.hidden_size)


def test_a_page_is_copied_in_the_layers_of_its_kind_alone():
    model = counting_model()
    runner = Runner(model, KINDS)
    runner.copy_page(FULL, 1, 2)
    assert isinstance(model.ops, CountingOps)
    assert model.ops.copies == 1  # one layer of each kind
