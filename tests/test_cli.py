"""The `ossia` command: finding the verb, and errors in one line."""

import io
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ossia
from ossia import cli
from ossia.errors import ConfigError

VERBS = [path.stem.replace("_", "-") for path in sorted(Path(cli.__file__).parent.glob("[!_]*.py"))]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Namespace]]:
    """Stands in for the verb `run` and records the options it is called with."""

    def install(work: Callable[[], int] = lambda: 0) -> list[Namespace]:
        calls: list[Namespace] = []

        def run(options: Namespace) -> int:
            calls.append(options)
            return work()

        def arguments(parser: ArgumentParser) -> None:
            parser.add_argument("words", nargs="*")
            parser.add_argument("--effort")

        fake = SimpleNamespace(HELP="Answers.", EXAMPLE='ossia run "Hello"', arguments=arguments, run=run)
        monkeypatch.setattr(cli, "verbs", lambda: {"run": fake})
        monkeypatch.setattr(cli, "_verb", lambda name: fake if name == "run" else None)
        return calls

    return install


def failing(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


def ossia_command(*words: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    # Output is buffered, as it is wherever nobody asked otherwise: what fails is then the last flush.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    streams = streams or {"capture_output": True}
    return subprocess.run([sys.executable, "-m", "ossia", *words], env=env, text=True, **streams)


def test_a_verb_gets_its_options(verb):
    calls = verb(lambda: 3)
    assert cli.main(["run", "nano", "hi", "--effort", "low"]) == 3
    assert calls[0].words == ["nano", "hi"]
    assert calls[0].effort == "low"


def test_a_sentence_is_a_prompt(verb):
    calls = verb()
    assert cli.main(["What is 2 + 2?", "--effort", "low"]) == 0
    assert calls[0].words == ["What is 2 + 2?"]
    assert calls[0].effort == "low"


def test_a_misspelt_verb_names_its_neighbours(verb, capsys):
    assert verb() == []
    assert cli.main(["rum"]) == 2
    assert capsys.readouterr().err == (
        "ossia: there is no verb 'rum'; did you mean run; for a prompt of one word: ossia run \"rum\"\n"
    )


def test_a_word_unlike_any_verb_lists_them(verb, capsys):
    verb()
    assert cli.main(["zzz"]) == 2
    assert "the verbs are run" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../errors", "os.path", "__init__", "", "é", "make_random", "run\0"])
def test_only_verbs_are_verbs(name: str, capsys):
    assert cli.main([name]) == 2
    assert "there is no verb" in capsys.readouterr().err


def test_errors_of_arguments_are_one_line_with_the_next_step(verb, capsys):
    verb()
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "--efort", "low"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "ossia run: there is no option --efort (did you mean --effort?); see `ossia run --help`\n"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("head_dim is 3;\nan even number is right"), "head_dim is 3; an even number is right"),
        (OSError(28, "No space left on device", "/full/model"), "/full/model: No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("strange"), "strange"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_a_failure_is_one_line(verb, capsys, error: Exception, line: str):
    verb(failing(error))
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err == f"ossia: {line}\n"


def test_what_an_error_quotes_is_harmless_and_not_endless(verb, capsys):
    verb(failing(ConfigError(f"tensor \x1b]0;owned\x07 {'x' * 10_000}")))
    assert cli.main(["run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(r"ossia: tensor \x1b]0;owned\x07 xxx")
    assert said.endswith("x…\n")
    assert len(said) == len("ossia: ") + 2000 + len("\n")


@pytest.mark.parametrize("words", [["--debug", "run"], ["run", "--debug"]])
def test_debug_shows_the_traceback(verb, capsys, words: list[str]):
    verb(failing(ConfigError("wrong")))
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("ossia: wrong\n")


def test_ctrl_c_is_quiet(verb, capsys):
    verb(failing(KeyboardInterrupt()))
    assert cli.main(["run"]) == 130
    assert capsys.readouterr().err == ""


def test_a_bug_is_not_hidden(verb):
    verb(failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["run"])


def test_version():
    assert ossia_command("--version").stdout == f"ossia {ossia.__version__}\n"


def test_help_before_a_verb_is_the_programs():
    assert ossia_command("--help", "rum").stdout == ossia_command("--help").stdout == ossia_command().stdout


def test_help_lists_exactly_the_verbs():
    shown = ossia_command("--help")
    assert shown.returncode == 0
    lines = shown.stdout.partition("verbs:\n")[2].partition("\n\n")[0].splitlines()
    assert dict(line.strip().split(maxsplit=1) for line in lines) == {n: v.HELP for n, v in cli.verbs().items()}


def test_every_public_module_of_the_package_is_a_verb():
    assert list(cli.verbs()) == VERBS


@pytest.mark.parametrize("name", VERBS)
def test_a_verbs_help_shows_its_example(name: str, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert cli.verbs()[name].EXAMPLE in shown
    assert f"ossia {name}" in cli.verbs()[name].EXAMPLE


def test_help_brings_no_torch():
    code = "import sys, ossia.cli; ossia.cli.verbs(); print('torch' in sys.modules, 'starlette' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "False False\n"


def test_a_reader_that_leaves_early_is_no_error(verb, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    verb(lambda: sys.stdout.write("x" * 100_000) and 0)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert cli.main(["run"]) == 141


def test_a_full_disk_behind_stdout_is_one_line():
    with Path("/dev/full").open("w") as full:
        shown = ossia_command("--help", stdout=full, stderr=subprocess.PIPE)
    assert shown.returncode == 1
    assert shown.stderr == "ossia: standard output: No space left on device\n"


def test_nothing_is_said_when_the_reader_has_left():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as stdout:
        shown = ossia_command("--help", stdout=stdout, stderr=subprocess.PIPE)
    assert shown.returncode == 141
    assert shown.stderr == ""


def test_stdout_without_a_file_behind_it(verb, monkeypatch):
    verb(failing(ConfigError("wrong")))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert cli.main(["run"]) == 1
