"""Numbers, as Prometheus's own parser reads them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ossia.assistant import Turn, Usage
from ossia.harmony import Repair, RepairKind
from ossia.server.metrics import Counter, Gauge, Histogram, Metrics


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def turn(**changes: object) -> Turn:
    values = {
        "messages": (),
        "finish": "stop",
        "usage": Usage(prompt_tokens=10, cached_tokens=4, generated_tokens=21, reasoning_tokens=7),
        "repairs": (),
        "seed": 1,
    }
    return Turn(**(values | changes))  # type: ignore[arg-type]


def test_every_metric_has_one_family_of_its_kind():
    families = list(text_string_to_metric_families(Metrics().text()))
    assert len({family.name for family in families}) == len(vars(Metrics()))
    kinds = {family.name: family.type for family in families}
    # The parser takes a counter's `_total` off.
    assert kinds["ossia_turns"] == "counter"
    assert kinds["ossia_time_to_first_token_seconds"] == "histogram"
    assert kinds["ossia_http_open_requests"] == "gauge"
    assert all(family.documentation for family in families)


@given(st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=5))
def test_any_label_and_any_number_are_read_back(values: dict[str, float]):
    gauge = Gauge("x", 'a "text"\nwith \\ all', "label")
    for label, value in values.items():
        gauge.set(value, label)
    text = Metrics().text([gauge])
    found = {labels[0][1]: value for (name, labels), value in read(text).items() if name == "x"}
    assert found == values


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_a_histogram_counts_what_is_at_most_each_bound(values: list[float]):
    histogram = Histogram("x", "text", (0.5, 10.0, 1000.0))
    for value in values:
        histogram.observe(value)
    found = {
        dict(labels).get("le", name): value
        for (name, labels), value in read(Metrics().text([histogram])).items()
        if name.startswith("x")
    }
    if not values:
        assert found == {}
        return
    for bound in (0.5, 10.0, 1000.0, math.inf):
        key = "+Inf" if math.isinf(bound) else f"{bound:g}"
        assert found[key] == sum(value <= bound for value in values)
    assert found["x_count"] == len(values)
    assert found["x_sum"] == pytest.approx(math.fsum(values))


def test_a_turn_is_counted_whole():
    metrics = Metrics()
    metrics.count_turn("nano", turn(), 0.5, 2.5)
    metrics.count_turn("nano", turn(finish="length", usage=Usage(1, 0, 1, 0)), 0.2, 0.3)
    metrics.count_turn("nano", turn(finish="cancelled", usage=Usage(1, 0, 0, 0)), None, 0.3)
    found = read(metrics.text())
    model = ("model", "nano")
    assert found["ossia_prompt_tokens_total", (model,)] == 12
    assert found["ossia_cached_prompt_tokens_total", (model,)] == 4
    assert found["ossia_generated_tokens_total", (model,)] == 22
    assert found["ossia_reasoning_tokens_total", (model,)] == 7
    for finish in ("stop", "length", "cancelled"):
        assert found["ossia_turns_total", (("finish", finish), model)] == 1
    assert found["ossia_time_to_first_token_seconds_count", (model,)] == 2
    assert found["ossia_time_to_first_token_seconds_sum", (model,)] == pytest.approx(0.7)
    # Twenty tokens followed the first of the first turn, in two seconds; none in the second.
    assert found["ossia_time_per_output_token_seconds_count", (model,)] == 20
    assert found["ossia_time_per_output_token_seconds_sum", (model,)] == pytest.approx(2.0)
    assert found["ossia_time_per_output_token_seconds_bucket", (("le", "0.1"), model)] == 20
    assert found["ossia_time_per_output_token_seconds_bucket", (("le", "0.08"), model)] == 0


def test_repairs_are_counted_by_kind():
    metrics = Metrics()
    kinds = (RepairKind.LONG_HEADER, RepairKind.MISSING_END, RepairKind.LONG_HEADER)
    metrics.count_turn("nano", turn(repairs=tuple(Repair(kind, 0) for kind in kinds)), None, 1.0)
    assert metrics.repairs.value("nano", "long-header") == 2
    assert metrics.repairs.value("nano", "missing-end") == 1


def test_counters_only_know_their_labels():
    counter = Counter("x", "text", "a", "b")
    counter.add(1, "only one")
    with pytest.raises(ValueError, match="zip"):
        list(counter.samples())
