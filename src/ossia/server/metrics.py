"""What is counted, and how Prometheus reads it.

Three kinds of numbers, each kept for every combination of its labels: counters only grow, gauges are set, histograms
count how many values were at most each bound. A label's values must be few: routes and not paths, models and not users.

Source: Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ossia.assistant import Turn

__all__ = ["CONTENT_TYPE", "Counter", "Gauge", "Histogram", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]

FIRST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds for what a person waits for: from a short prompt on a small model to a full context on a large one."""

TOKEN_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
"""Bounds for one token after another: from 2,000 a second to one in 2.5 s."""

REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class Counter:
    """A number that only grows."""

    kind = "counter"

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self.name, self.text, self.labels = name, text, labels
        self._values: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Add to the number of these labels."""
        self._values[labels] = self._values.get(labels, 0) + amount

    def value(self, *labels: str) -> float:
        """The number of these labels."""
        return self._values.get(labels, 0)

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Each number with the name and labels it is exposed under."""
        for labels, value in self._values.items():
            yield self.name, dict(zip(self.labels, labels, strict=True)), value


class Gauge(Counter):
    """A number that is what it is."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        """Set the number of these labels."""
        self._values[labels] = value

    def clear(self) -> None:
        """Forget all numbers: those that are still true are set again."""
        self._values.clear()


@dataclass
class _Buckets:
    counts: list[int]
    sum: float = 0.0


class Histogram:
    """How values are spread over bounds."""

    kind = "histogram"

    def __init__(self, name: str, text: str, bounds: tuple[float, ...], *labels: str) -> None:
        self.name, self.text, self.labels = name, text, labels
        self._bounds = bounds
        self._values: dict[Labels, _Buckets] = {}

    def observe(self, value: float, *labels: str, times: int = 1) -> None:
        """Count a value, or the mean of several."""
        buckets = self._values.setdefault(labels, _Buckets([0] * (len(self._bounds) + 1)))
        buckets.counts[bisect_left(self._bounds, value)] += times
        buckets.sum += value * times

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Each number with the name and labels it is exposed under."""
        for labels, buckets in self._values.items():
            named = dict(zip(self.labels, labels, strict=True))
            total = 0
            for bound, count in zip((*self._bounds, math.inf), buckets.counts, strict=True):
                total += count
                yield f"{self.name}_bucket", {**named, "le": _number(bound)}, total
            yield f"{self.name}_sum", named, buckets.sum
            yield f"{self.name}_count", named, total


@dataclass(frozen=True)
class Metrics:
    """All that a server counts. Seconds are wall clock."""

    requests: Counter = field(
        default_factory=lambda: Counter(
            "ossia_http_requests_total", "HTTP requests that have ended.", "method", "route", "status"
        )
    )
    request_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "ossia_http_request_seconds", "From a request's headers to the end of its answer.", REQUEST_SECONDS, "route"
        )
    )
    open_requests: Gauge = field(
        default_factory=lambda: Gauge("ossia_http_open_requests", "HTTP requests that are being answered.")
    )
    broken_streams: Counter = field(
        default_factory=lambda: Counter(
            "ossia_http_broken_streams_total",
            "Streams that did not come to their end: the client gone or stalled, or an error after the beginning.",
            "route",
            "reason",
        )
    )
    prompt_tokens: Counter = field(
        default_factory=lambda: Counter(
            "ossia_prompt_tokens_total", "Tokens of prompts, cached ones included.", "model"
        )
    )
    cached_tokens: Counter = field(
        default_factory=lambda: Counter(
            "ossia_cached_prompt_tokens_total", "Tokens of prompts that a cached prefix had.", "model"
        )
    )
    generated_tokens: Counter = field(
        default_factory=lambda: Counter(
            "ossia_generated_tokens_total", "Tokens generated, reasoning included.", "model"
        )
    )
    reasoning_tokens: Counter = field(
        default_factory=lambda: Counter("ossia_reasoning_tokens_total", "Tokens of reasoning generated.", "model")
    )
    finishes: Counter = field(
        default_factory=lambda: Counter("ossia_turns_total", "Turns that have ended, and why.", "model", "finish")
    )
    repairs: Counter = field(
        default_factory=lambda: Counter(
            "ossia_repairs_total", "Corrections made to malformed output, by kind.", "model", "kind"
        )
    )
    first_token_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "ossia_time_to_first_token_seconds", "From a turn's beginning to its first token.", FIRST_SECONDS, "model"
        )
    )
    token_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "ossia_time_per_output_token_seconds",
            "Between one token and the next, a turn's mean.",
            TOKEN_SECONDS,
            "model",
        )
    )

    def count_turn(self, model: str, turn: Turn, first_token_seconds: float | None, seconds: float) -> None:
        """Count a turn that has ended, however it ended."""
        usage = turn.usage
        self.prompt_tokens.add(usage.prompt_tokens, model)
        self.cached_tokens.add(usage.cached_tokens, model)
        self.generated_tokens.add(usage.generated_tokens, model)
        self.reasoning_tokens.add(usage.reasoning_tokens, model)
        self.finishes.add(1, model, turn.finish)
        for repair in turn.repairs:
            self.repairs.add(1, model, str(repair.kind))
        if first_token_seconds is None:
            return
        self.first_token_seconds.observe(first_token_seconds, model)
        if (later := usage.generated_tokens - 1) > 0:
            self.token_seconds.observe((seconds - first_token_seconds) / later, model, times=later)

    def text(self, more: Iterable[Counter | Histogram] = ()) -> str:
        """All numbers as Prometheus reads them, and `more` that were looked up for the occasion."""
        return "".join(line for metric in [*vars(self).values(), *more] for line in _lines(metric))


def _lines(metric: Counter | Histogram) -> Iterator[str]:
    yield f"# HELP {metric.name} {_escaped(metric.text)}\n# TYPE {metric.name} {metric.kind}\n"
    for name, labels, value in metric.samples():
        inside = ",".join(f'{key}="{_quoted(text)}"' for key, text in labels.items())
        yield f"{name}{{{inside}}} {_number(value)}\n" if inside else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
