import ast
import inspect

from ossia.harmony import Repair, RepairKind, header, parse, repairs


def test_every_kind_is_made_and_explained() -> None:
    source = "".join(
        inspect.getsource(module) for module in map(inspect.getmodule, (header.read_header, parse)) if module
    )
    unmade = [kind for kind in RepairKind if f"RepairKind.{kind.name}" not in source]
    assert unmade == []
    tree = next(node for node in ast.parse(inspect.getsource(repairs)).body if isinstance(node, ast.ClassDef))
    strings = [node for node in tree.body if isinstance(node, ast.Expr)]
    assert len(strings) == len(RepairKind) + 1


def test_a_repair_is_plain_data() -> None:
    repair = Repair(RepairKind.STRAY_TOKEN, 3, "<|end|>")
    assert (str(repair.kind), repair.position, repair.text) == ("stray-token", 3, "<|end|>")
