"""What ours says of itself, line by line."""

import json

import pytest

from bench.engines.timed import main
from ossia.ops.native import NativeOps


def test_a_line_for_each_repeat_and_one_for_what_they_mean(capsys: pytest.CaptureFixture[str]):
    main("nano", "exact", "1", "2", '{"prompt": 8, "generate": 2, "batch": 2, "depth": 0}')
    *repeats, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(repeats) == 3  # the warm-up first
    assert all(each["prefill_tokens_per_second"] > 0 and each["decode_tokens_per_second"] > 0 for each in repeats)
    assert last["repeats"] == repeats[1:]
    assert (last["precision"], last["threads"], last["batch"], last["generate"]) == ("exact", 1, 2, 2)
    assert last["decode_bytes_per_step"] > 0
    assert last["isa"] == NativeOps().isa
