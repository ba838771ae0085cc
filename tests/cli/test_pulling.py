import io
import sys
from pathlib import Path

import pytest

from ossia.checkpoint import Pulling
from ossia.cli import _pulling
from ossia.cli._pulling import PullDisplay, located, size
from ossia.errors import DownloadError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def moment(completed: int, status: str = "pulling abc", total: int = 10_000_000_000) -> Pulling:
    return Pulling(status, "sha256:abc", total, completed, total, completed)


def test_how_much_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch):
    screen, now = Terminal(), [100.0]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(_pulling.time, "monotonic", lambda: now[0])
    with PullDisplay("gpt-oss:20b\x1b[2J") as display:
        display(Pulling("pulling manifest"))
        for step in range(60):
            now[0] += 0.5
            display(moment(50_000_000 * step))
    text = screen.getvalue()
    assert "\x1b[2J" not in text
    # 50 MB each half second: after 59 steps 2.95 GB are there, and the other 7.05 take 70.5 s.
    last = text.split("\r\x1b[K")[-2]
    assert last.endswith(" 30% 3.0 GB of 10.0 GB  100.0 MB/s  1 min 10 s left")
    assert text.endswith("\r\x1b[K")


def test_a_download_that_falls_back_has_a_new_rate(monkeypatch: pytest.MonkeyPatch):
    screen, now = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(_pulling.time, "monotonic", lambda: now[0])
    display = PullDisplay("x")
    for completed in (0, 4_000_000_000, 1_000_000_000, 2_000_000_000):
        now[0] += 1.0
        display(moment(completed))
    assert "-" not in screen.getvalue()
    assert "1.0 GB/s  8 s left" in screen.getvalue()


def test_other_steps_say_what_they_are(monkeypatch: pytest.MonkeyPatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    display = PullDisplay("x")
    display(moment(10_000_000_000, "verifying sha256 digest"))
    display(moment(0, "waiting for another download of abc", 0))
    assert "100% 10.0 GB of 10.0 GB  verifying sha256 digest" in screen.getvalue()
    assert "waiting for another download" in screen.getvalue()


def test_a_log_gets_a_line_a_step(capsys: pytest.CaptureFixture[str]):
    with PullDisplay("x") as display:
        display(Pulling("pulling manifest"))
        for completed in range(5):
            display(moment(completed))
        display(Pulling("success"))
    assert capsys.readouterr().err == "x: pulling manifest\nx: pulling abc (10.0 GB)\nx: success\n"


def test_no_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", None)
    with PullDisplay("x") as display:
        display(Pulling("pulling manifest"))


@pytest.mark.parametrize("name", ["nano", "./x", "nothing", "/models/x"])
def test_names_that_no_download_has_stay_as_they_are(name: str):
    assert located(name) == name


def test_what_is_missing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        located("gpt-oss:20b")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (13_761_300_000, "13.8 GB"), (10**13, "10.0 TB")]
)
def test_sizes(count: int, text: str):
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (4800, "1 h 20 min"), (1e12, "100 h 0 min")],
)
def test_durations(seconds: float, text: str):
    assert _pulling._duration(seconds) == text
