"""Runs pip, shows on one line how far it is, and keeps all that it says in a log, whose end is shown if it fails.

usage: python install.py LOG ARGUMENTS-OF-PIP-INSTALL...
"""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

STEPS = (
    (r"Collecting (?P<what>[\w.-]+)", "fetching packages"),
    (r"(?:Downloading|Using cached) (?:\S*/)?(?P<what>[A-Za-z]\w*)-", "fetching packages"),
    (r"Preparing editable metadata|Configuring CMake", "preparing the native library"),
    (r"\[(?P<done>\d+)/(?P<total>\d+)\]", "compiling the native library"),
    (r"Installing collected packages", "installing packages"),
)
"""What a line of pip's tells, and the words for it."""

SHOWN_LINES = 30


def main(log: str, *arguments: str) -> int:
    """Returns pip's exit status."""
    command = [sys.executable, "-m", "pip", "install", "--verbose", "--progress-bar", "off", "--no-color"]
    # What is not printed at once would be shown late.
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = subprocess.Popen(
        [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=forward, args=(pip, lines), daemon=True).start()
    try:
        said = follow(lines, Path(log))
    except KeyboardInterrupt:
        pip.terminate()
        raise
    if pip.wait():
        print("".join(said[-SHOWN_LINES:]), f"pip failed; all that it said is in {log}", sep="\n", file=sys.stderr)
    return pip.returncode


def forward(pip: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Puts pip's lines into the queue, and None at the end."""
    for line in pip.stdout or ():
        lines.put(line)
    lines.put(None)


def follow(lines: queue.SimpleQueue[str | None], log: Path) -> list[str]:
    """Shows how far it is until the lines end, and writes them to the log; returns them."""
    said: list[str] = []
    step, begin = "", time.monotonic()
    on_terminal = sys.stderr.isatty()
    with log.open("w", encoding="utf-8") as file:
        while True:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                line = ""  # nothing new but the time
            if line is None:
                break
            file.write(line)
            said += [line] if line else []
            before, step = step, step_of(line) or step
            if on_terminal:
                print(f"\r\x1b[K{time.monotonic() - begin:4.0f} s  {step}", end="", file=sys.stderr, flush=True)
            elif step.partition(":")[0] != before.partition(":")[0]:
                print(f"{time.monotonic() - begin:4.0f} s  {step.partition(':')[0]}", file=sys.stderr, flush=True)
    if on_terminal:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return said


def step_of(line: str) -> str | None:
    """What pip is doing when it says this line; None if the line does not tell."""
    for pattern, words in STEPS:
        if match := re.search(pattern, line):
            found = match.groupdict()
            detail = f"{found['done']} of {found['total']}" if "done" in found else found.get("what")
            return f"{words}: {detail}" if detail else words
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
