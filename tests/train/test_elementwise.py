import pytest
import torch
import torch.nn.functional as F

from ossia.mxfp4 import decode, encode
from ossia.ops.torch_ops import swiglu
from ossia.train.elementwise import Elementwise, elementwise

pytestmark = pytest.mark.torch


def inputs(rows: int) -> dict[str, tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(rows)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "rms_norm": (drawn(rows, 32), drawn(32)),
        "rope": (drawn(rows, 2, 16), drawn(rows, 8), drawn(rows, 8)),
        "swiglu": (5 * drawn(rows, 64), drawn(rows, 1)),
        "cross_entropy": (drawn(rows, 50), torch.arange(rows) % 50),
        "rounded": (drawn(rows, 64),),
    }


def results(functions: Elementwise, rows: int) -> dict[str, torch.Tensor]:
    given = inputs(rows)
    x, scale = given["rms_norm"]
    heads, cos, sin = given["rope"]
    h, shares = given["swiglu"]
    logits, targets = given["cross_entropy"]
    return {
        "rms_norm": functions.rms_norm(x, scale, 1e-5, torch.float32),
        "rope": functions.rope(heads, cos, sin, torch.float32),
        "swiglu": functions.swiglu(h, shares, 7.0),
        "cross_entropy": functions.cross_entropy(logits, targets),
        "rounded": functions.rounded(*given["rounded"]),
    }


def test_they_are_what_torch_has():
    found, given = results(elementwise(compiled=False), 6), inputs(6)
    x, scale = given["rms_norm"]
    torch.testing.assert_close(found["rms_norm"], F.rms_norm(x, (32,), scale, 1e-5))
    h, shares = given["swiglu"]
    in_turns = h.unflatten(1, (2, -1)).transpose(1, 2).flatten(1)
    torch.testing.assert_close(found["swiglu"], swiglu(in_turns, 7.0) * shares)
    x, cos, sin = given["rope"]
    turned = torch.complex(*x.chunk(2, -1)) * torch.complex(cos, sin)[:, None]
    torch.testing.assert_close(found["rope"], torch.cat([turned.real, turned.imag], -1))
    packed = encode(given["rounded"][0].numpy())
    torch.testing.assert_close(found["rounded"].numpy(), decode(packed), rtol=0, atol=0)


def test_filled_up_targets_count_nothing():
    logits, targets = torch.randn(4, 9), torch.tensor([3, -100, 5, -100])
    one = elementwise(compiled=False).cross_entropy(logits, targets)
    torch.testing.assert_close(one, F.cross_entropy(logits[::2], targets[::2]))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.slow
def test_compiled_ones_give_the_same_for_any_number_of_rows():
    for rows in (3, 7):
        plain, compiled = (results(elementwise(compiled=flag), rows) for flag in (False, True))
        for name, value in plain.items():
            torch.testing.assert_close(compiled[name], value, msg=name)
