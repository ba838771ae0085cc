import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint.gguf import SIZES, TYPES, read_gguf
from ossia.errors import CheckpointError, TensorError

gguf = pytest.importorskip("gguf")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def info(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def container(
    infos: list[bytes], body: bytes = bytes(64), metadata: list[bytes] | None = None, version: int = 3
) -> bytes:
    metadata = metadata or []
    head = b"GGUF" + struct.pack("<IQQ", version, len(infos), len(metadata)) + b"".join(metadata) + b"".join(infos)
    return head + bytes(-len(head) % 32) + body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_what_the_gguf_package_writes_is_read(file: Path):
    writer = gguf.GGUFWriter(file, "gpt-oss")
    writer.add_uint32("number", 7)
    writer.add_int8("small", -3)
    writer.add_float64("wide", 0.1)
    writer.add_bool("yes", True)
    writer.add_array("words", ["a", "é", ""])
    writer.add_array("numbers", [1, 2, 3])
    values = np.random.default_rng(0).standard_normal((3, 2, 64)).astype(np.float32)
    writer.add_tensor("f32", values)
    writer.add_tensor("f16", values.astype(np.float16))
    packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("q8", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_gguf(file)
    assert found.metadata["general.architecture"] == "gpt-oss"
    assert {key: found.metadata[key] for key in ("number", "small", "wide", "yes")} == {
        "number": 7,
        "small": -3,
        "wide": 0.1,
        "yes": True,
    }
    assert found.metadata["words"] == ["a", "é", ""]
    assert found.metadata["numbers"].tolist() == [1, 2, 3]
    assert {name: (tensor.type, tensor.shape) for name, tensor in found.tensors.items()} == {
        "f32": ("F32", (3, 2, 64)),
        "f16": ("F16", (3, 2, 64)),
        "q8": ("Q8_0", (3, 2, 64)),
    }
    np.testing.assert_array_equal(found.tensors["f32"].data.view("<f4").reshape(3, 2, 64), values)
    np.testing.assert_array_equal(found.tensors["q8"].data, packed.reshape(6, 68))
    assert found.size == file.stat().st_size


def test_a_model_in_several_files_is_read_as_one(tmp_path: Path):
    """The judge's writer cuts it; each part has a table of its own, and the first one the metadata."""
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "gpt-oss", split_max_tensors=2)
    values = {f"t{index}": np.full((2, 32), index, np.float32) for index in range(5)}
    for name, value in values.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.glob("*.gguf"))
    assert [part.name for part in parts] == [f"model-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    for part in parts:
        found = read_gguf(part)
        assert found.metadata["general.architecture"] == "gpt-oss"
        assert {name: tensor.data.view("<f4")[0, 0] for name, tensor in found.tensors.items()} == {
            name: value[0, 0] for name, value in values.items()
        }
    parts[0].rename(tmp_path / "alone.gguf")
    with pytest.raises(CheckpointError, match="is one of 3 parts; names like"):
        read_gguf(tmp_path / "alone.gguf")
    with pytest.raises(CheckpointError, match=r"model-00001-of-00003\.gguf: cannot be read"):
        read_gguf(parts[1])


def test_parts_that_hold_the_same_tensor_are_refused(tmp_path: Path):
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(container([info("a", [16], 0, 0)]))
    with pytest.raises(TensorError, match="a is in two of its parts"):
        read_gguf(tmp_path / "m-00001-of-00002.gguf")


def test_types_and_sizes_are_those_of_the_gguf_package():
    theirs = {kind.value: kind.name for kind in gguf.GGMLQuantizationType}
    assert {number: TYPES[number] for number in theirs} == theirs
    for name, (values, size) in SIZES.items():
        if name != "MXFP4_NEIGHBOURS":
            assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] == (values, size)


QUANTISED = [number for number, name in TYPES.items() if name not in SIZES]


@pytest.mark.parametrize("kind", [*QUANTISED, 42, 1 << 31])
def test_other_types_are_refused_by_name(file: Path, kind: int):
    file.write_bytes(container([info("blk.0.x", [256], kind, 0)], bytes(4096)))
    name = TYPES.get(kind, f"unknown type {kind}")
    with pytest.raises(TensorError, match=f"blk.0.x is {name}, which is not read here; F32, F16, BF16, Q8_0, MXFP4"):
        read_gguf(file)


KEY = text("key")
LIES = {
    "no GGUF": (b"GGML" + bytes(60), r"starts with b'GGML'; b'GGUF' is right"),
    "version 1": (container([], version=1), "version 1; 2 or 3"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648"),
    "name beyond the file": (
        container([struct.pack("<Q", 1 << 60)]),
        "name of tensor 0 at byte .* needs 1152921504606846976",
    ),
    "count of tensors": (
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
        "name of tensor 0 at byte 24 needs 8 bytes, 0 are left",
    ),
    "count of metadata": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "metadata key 0 at byte 24"),
    "twice a key": (container([], metadata=[KEY + struct.pack("<IB", 0, 1)] * 2), "'key' stands there twice"),
    "no such type": (container([], metadata=[KEY + struct.pack("<I", 13)]), "'key' has type 13; 0 to 12 are right"),
    "array of arrays": (
        container([], metadata=[KEY + struct.pack("<IIQ", 9, 9, 1)]),
        "array of type 9; scalars or strings",
    ),
    "array beyond the file": (
        container([], metadata=[KEY + struct.pack("<IIQ", 9, 4, 1 << 40)]),
        "needs 4398046511104 bytes",
    ),
    "strings beyond the file": (
        container([], metadata=[KEY + struct.pack("<IIQ", 9, 8, 1 << 40)]),
        "1099511627776 strings",
    ),
    "huge count": (
        container([], metadata=[KEY + struct.pack("<IIQ", 9, 12, (1 << 64) - 1)]),
        "needs 147573952589676412920",
    ),
    "no UTF-8": (container([], metadata=[struct.pack("<Q", 1) + b"\xff" + struct.pack("<IB", 0, 1)]), "is no UTF-8"),
    "alignment 0": (
        container([], metadata=[text("general.alignment") + struct.pack("<II", 4, 0)]),
        "alignment is 0; a power",
    ),
    "alignment 33": (
        container([], metadata=[text("general.alignment") + struct.pack("<II", 4, 33)]),
        "alignment is 33",
    ),
    "alignment text": (
        container([], metadata=[text("general.alignment") + struct.pack("<I", 8) + text("x")]),
        "alignment is 'x'",
    ),
    "tensor beyond the file": (container([info("a", [17], 0, 0)]), "a: ends at byte 68 of the tensors' 64"),
    "offset beyond the file": (container([info("a", [1], 0, 1 << 60)]), "a: ends at byte 1152921504606846980"),
    "overlap": (container([info("a", [16], 0, 0), info("b", [8], 0, 32)]), "b: starts at byte 32 and overlaps a"),
    "crooked offset": (container([info("a", [1], 0, 4)]), "a: starts at byte 4; a multiple of the alignment, 32"),
    "twice a tensor": (container([info("a", [1], 0, 0)] * 2), "a stands there twice"),
    "no axis": (container([info("a", [], 0, 0)]), "a has 0 axes; 1 to 4"),
    "five axes": (container([info("a", [1] * 5, 0, 0)]), "a has 5 axes"),
    "empty": (container([info("a", [0], 0, 0)]), r"a is F32 \[0\]; rows of a multiple of 1"),
    "half a block": (container([info("a", [40], 8, 0)]), r"a is Q8_0 \[40\]; rows of a multiple of 32 values"),
    "huge shape": (container([info("a", [1 << 62, 1 << 62], 0, 0)]), "a: ends at byte 8507059173023461"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused(file: Path, lie: str):
    content, message = LIES[lie]
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_gguf(file)
    assert str(caught.value).startswith(str(file))


def test_every_cut_of_a_file_is_refused(file: Path):
    content = container([info("a", [16], 0, 0)], metadata=[KEY + struct.pack("<IIQ", 9, 8, 2) + text("x") + text("yz")])
    for size in range(len(content)):
        file.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            read_gguf(file)
    file.write_bytes(content)
    assert read_gguf(file).metadata == {"key": ["x", "yz"]}


def test_arrays_of_numbers_take_no_memory_of_their_own(file: Path):
    """64 MiB that a sparse file costs nobody must not become a gigabyte of Python's objects."""
    count = 1 << 24
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY + struct.pack("<IIQ", 9, 4, count)
    with file.open("wb") as handle:
        handle.write(head)
        handle.truncate(len(head) + 4 * count + 64)
    tracemalloc.start()
    found = read_gguf(file).metadata["key"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == count
    assert peak < 1 << 20
