"""The backends that the conformance suite runs over, each in each precision."""

import pytest

from ossia.ops import Ops, Precision, make_ops


@pytest.fixture(
    params=[
        pytest.param(f"{backend}-{precision}", marks=[pytest.mark.torch] if backend == "torch" else [])
        for backend in ("reference", "native", "torch")
        for precision in Precision
    ]
)
def ops(request: pytest.FixtureRequest) -> Ops:
    backend, precision = request.param.split("-")
    return make_ops(backend, precision)
