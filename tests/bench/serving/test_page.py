"""The part of a page that a result makes."""

from pathlib import Path
from typing import Any

from bench.serving.load import FIGURES
from bench.serving.page import BEGIN, END, drawn, put, section


def spread(value: float) -> dict[str, dict[str, float]]:
    return {name: {"median": value, "least": value / 2, "most": value * 2} for name in FIGURES}


RESULT: dict[str, Any] = {
    "date": "2026-01-31",
    "commit": "abc1234",
    "command": "python bench/serve.py",
    "machine": {"processor": "a processor", "processors": 2},
    "load_average": [0.5, 1.5],
    "model": "a random one",
    "precision": "fast",
    "threads": 2,
    "rounds": 3,
    "work": {"prompt": 128, "generate": 64, "vocabulary": 4000},
    "rival": "version: 1",
    "forms": {"llama-server": "the same"},
    "points": [
        {
            "clients": clients,
            "servers": {"ossia": spread(300.0), "llama-server": spread(100.0)},
            "ahead": {"llama-server": spread(3.0)},
        }
        for clients in (1, 64)
    ],
    "script": {"user": 1, "reasoning": 2, "call": 3, "result": 4, "answer": 5},
    "conversation": {
        "ossia": [{"turn": 0, "prompt": 10, "needed": 7, "computed": 8}] * 2,
        "llama-server": [{"turn": 0, "prompt": 10, "needed": 7, "computed": 9}] * 2,
    },
    "overhead": [
        {"model": "nano", "clients": 1, "source": "a-decode.json", "token_20b_us": 90_000.0, "share_20b": 0.0031}
        | {f"{what}_{kind}": 280.0 for what in ("engine", "server", "overhead") for kind in ("processor_us", "wall_us")}
    ],
}


def test_every_figure_is_the_results():
    text = section(RESULT, "serving.png")
    assert text.startswith(BEGIN)
    assert text.rstrip().endswith(END)
    assert text.count("| 300 (150-600) | 100 (50.0-200) | 3.00 (1.50-6.00) |") == 2 * len(FIGURES)
    assert "| all | 20 | 14 | 16 | 18 |" in text
    assert "| nano | 1 | 280 us | 280 us | 280 us | 90.0 ms | 0.31% |" in text
    assert "![" in text
    assert max(map(len, text.splitlines())) < 200


def test_the_rest_of_the_page_stays(tmp_path: Path):
    page = tmp_path / "performance.md"
    put(page, f"{BEGIN}\nold\n{END}\n")
    page.write_text(page.read_text() + "\n## Another part\n", "utf-8")
    put(page, f"{BEGIN}\nnew\n{END}\n")
    assert page.read_text() == f"# Performance\n\n{BEGIN}\nnew\n{END}\n\n## Another part\n"


def test_the_plot_is_a_picture(tmp_path: Path):
    drawn(RESULT, tmp_path / "serving.png")
    assert (tmp_path / "serving.png").read_bytes().startswith(b"\x89PNG")
