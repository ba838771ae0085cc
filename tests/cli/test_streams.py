"""Standard streams that are closed, full, or no longer read.

Each in a process of its own, started by a shell as a person would: what the verb says is lost or not, and is one line.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.tiny import write_tiny

CLOSED = "ossia: standard output: it is closed; a terminal, a file or a pipe is right\n"
FULL = "ossia: standard output: No space left on device\n"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `command`, in which `ossia` is this one; buffered, as output is wherever nobody asked otherwise."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | environment
    ossia = f'ossia() {{ "{sys.executable}" -m ossia "$@"; }}; '
    return subprocess.run(["bash", "-c", ossia + command], env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("words", ["--version", "--help", "run --help", "show 20b --json"])
def test_an_output_that_cannot_be_written_is_one_line(words: str, buffering: str):
    for redirection, complaint in ((">&-", CLOSED), ("> /dev/full", FULL)):
        shown = shell(f"ossia {words} {redirection}", PYTHONUNBUFFERED=buffering)
        assert (shown.returncode, shown.stdout, shown.stderr) == (1, "", complaint)


@pytest.fixture(scope="module")
def tiny_answer(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A command that answers, and its answer."""
    model = write_tiny(tmp_path_factory.mktemp("streams") / "tiny")
    command = f"ossia run {model} Hi --max-tokens 20 --seed 1 --raw"
    shown = shell(command)
    assert shown.returncode == 0
    assert len(shown.stdout) > 20
    return command, shown.stdout


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", "<&-", "<&- 2>&-"])
def test_an_answer_does_not_fail_for_the_other_streams(tiny_answer: tuple[str, str], redirection: str):
    command, answer = tiny_answer
    shown = shell(f"{command} -v {redirection}")
    assert (shown.returncode, shown.stdout) == (0, answer)


def test_an_answer_that_cannot_be_written_is_not_lost_silently(tiny_answer: tuple[str, str]):
    command, _ = tiny_answer
    for redirection, complaint in ((">&-", CLOSED), ("> /dev/full", FULL)):
        shown = shell(f"{command} -q {redirection}")
        assert shown.returncode == 1
        assert shown.stderr.endswith(complaint)
        assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("words", ["run", "chat -q", "run --json"])
def test_a_closed_input_is_an_empty_one(words: str):
    shown, empty = shell(f"ossia {words} <&-"), shell(f"ossia {words} < /dev/null")
    assert (shown.returncode, shown.stdout) == (empty.returncode, empty.stdout)
    assert shown.stderr.replace("> ", "") == empty.stderr.replace("> ", "")


def test_errors_do_not_become_output():
    shown = shell("ossia rum 2>&-")
    assert (shown.returncode, shown.stdout) == (2, "")


def test_a_file_that_is_written_is_not_taken_for_a_stream(tmp_path: Path):
    """Were number 1 free, the file would get it, and what is printed would go into it."""
    code = "import sys; from ossia.cli._streams import settle; settle(); file = open(sys.argv[1], 'w'); "
    code += "print('remark', file=sys.stderr); print('told', file=sys.stderr); file.write('content'); file.close()"
    out = tmp_path / "file"
    subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" {out} >&- 2>&- <&-'], check=True, timeout=60)
    assert out.read_text() == "content"


def test_streams_that_are_right_stay_as_they_are():
    code = "import sys; before = sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors; "
    code += "from ossia.cli._streams import settle; settle(); "
    code += "assert before == (sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors); "
    code += "print(sys.stdin.read(), end=''); print('error', file=sys.stderr)"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, input="zeile ä\n", capture_output=True, text=True, timeout=60, check=True)
    assert (shown.stdout, shown.stderr) == ("zeile ä\n", "error\n")


def test_a_word_beyond_ascii_is_what_it_is_in_the_c_locale():
    for name, words in (("C", {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}), ("C.UTF-8", {}), ("C", {})):
        shown = shell("ossia show nö; ossia nö", LC_ALL=name, **words)
        assert "no model 'nö' here" in shown.stderr
        assert "no verb 'nö'" in shown.stderr
