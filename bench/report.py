"""What the benchmarks of a model share: options, measuring, and the machine, commit and command beside the figures.

Results go to bench/results, when asked for.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def parser(doc: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", nargs="?", default="nano", help="a path, a hub name, or nano")
    made.add_argument("--threads", nargs="+", default=["all"], help="numbers of threads, or all")
    made.add_argument("--precision", nargs="+", default=["exact", "fast"])
    made.add_argument("--repeats", default="5")
    made.add_argument("--save", action="store_true", help="keep the result in bench/results")
    return made


def measured(model: str, threads: str, precision: str, repeats: str, load: list[str]) -> dict[str, Any]:
    """What `ossia bench` finds, in a process of its own."""
    words = ["bench", model, "--precision", precision, "--repeats", repeats, *load, "--json"]
    words += [] if threads == "all" else ["--threads", threads]
    done = subprocess.run([sys.executable, "-m", "ossia", *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def in_words(around: dict[str, Any]) -> str:
    machine = ", ".join(f"{key}: {value}" for key, value in around["machine"].items())
    return f"{around['date']}, commit {around['commit']}\n{machine}\n$ {around['command']}"


def surroundings() -> dict[str, Any]:
    """Where and how the figures came about; nothing that names one machine among its like."""
    return {"date": date.today().isoformat(), "commit": commit(), "command": command(), "machine": machine()}


def machine() -> dict[str, Any]:
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def commit() -> str:
    """The short hash, with a plus where the tree has changes of its own."""

    def git(*words: str) -> str:
        answer = subprocess.run(["git", *words], cwd=RESULTS.parent, capture_output=True, text=True, check=False)
        return answer.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "-uno") else "")


def command() -> str:
    """As it was given, with PATH for where this machine keeps a file."""
    words = ["PATH" if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *words])


def save(name: str, result: dict[str, Any]) -> Path:
    """Write a result as DATE-COMMIT-NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{result['date']}-{result['commit'].rstrip('+')}-{name}.json"
    file.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return file


def _field(file: str, name: str) -> str | None:
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
