"""How fast is a model where memory cannot hold it?

    python bench/memory.py gpt-oss-20b --free 8
    python bench/memory.py gpt-oss-20b --free 8 10 --save

A helper takes memory until only so many GiB are free, page cache included, and keeps it. Then an answer is drawn, and
what the disk was asked for meanwhile is read off the process's own account (/proc/self/io). Beside it stands what the
disk itself gives to one who reads the model's largest file past the page cache. Linux alone.
"""

import argparse
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import report

from ossia import loading
from ossia.checkpoint import find
from ossia.engine import Engine, EngineConfig, SamplingParams

GIB = 1 << 30
_LINE = (
    "{free_gib:5.1f} GiB free: first token after {first_token_seconds:.1f} s, then {tokens_per_second:.2f} tokens/s; "
    "{read_bytes_per_token:,.0f} bytes read a token, {read_bytes_per_second:,.0f} a second"
)
_HOLD = """
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(memory), 4096):
    memory[at] = 1
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def only_free(gib: float) -> Iterator[int]:
    """While the block runs, so much memory is free; the number of the process that holds the rest."""
    held = int((loading.available_bytes() or 0) - gib * GIB)
    if held <= 0:
        sys.exit(f"less than {gib} GiB are free as it is")
    command = [sys.executable, "-c", _HOLD, str(held)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as helper:
        try:
            if helper.stdout is None or helper.stdout.readline().strip() != "held":
                sys.exit("the memory could not be taken")
            yield helper.pid
        finally:
            helper.kill()


def read_bytes() -> int:
    """What this process made the disk read."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def disk_speed(file: Path, count: int = 64, piece: int = 8 << 20) -> float:
    """Bytes per second of reading pieces of a file, past the page cache, one after another."""
    descriptor, buffer = os.open(file, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, piece)
    begin, done = time.perf_counter(), 0
    for index in range(min(count, file.stat().st_size // piece)):
        done += os.preadv(descriptor, [buffer], index * piece)
    os.close(descriptor)
    return done / (time.perf_counter() - begin)


def measured(model: str, gib: float, count: int) -> dict[str, Any]:
    with only_free(gib):
        begin = time.perf_counter()
        loaded = loading.load_weights(model)
        for line in loaded.news:
            print(line, file=sys.stderr)
        engine = Engine(loaded.model, EngineConfig(context=512, max_requests=1))
        prompt = np.random.default_rng(0).integers(0, loaded.config.vocab_size, 16).tolist()
        params = SamplingParams(temperature=1.0, seed=0, max_tokens=count, stop_tokens=())
        outputs = engine.generate(prompt, params)
        next(iter(outputs))
        first, before = time.perf_counter(), read_bytes()
        made = sum(len(output.tokens) for output in outputs)
        seconds, read = time.perf_counter() - first, read_bytes() - before
    return {
        "free_gib": gib,
        "first_token_seconds": first - begin,
        "tokens_per_second": made / seconds,
        "read_bytes_per_token": read / made,
        "read_bytes_per_second": read / seconds,
    }


def arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", help="a path or a hub name")
    made.add_argument("--free", type=float, nargs="+", default=[8.0], help="GiB of memory that are free")
    made.add_argument("--generate", type=int, default=24, help="tokens of an answer")
    made.add_argument("--save", action="store_true", help="keep the result in bench/results")
    return made.parse_args()


def main() -> None:
    options, around = arguments(), report.surroundings()
    print(report.in_words(around))
    path = find(options.model)
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    disk = disk_speed(max(files, key=lambda file: file.stat().st_size))
    print(f"the disk gives {disk / 1e9:.2f} GB/s, past the page cache")
    rows = []
    for gib in options.free:
        rows.append(measured(options.model, gib, options.generate))
        print(_LINE.format(**rows[-1]), flush=True)
    if options.save:
        result = around | {"disk_bytes_per_second": disk, "rows": rows}
        print(f"written to {report.save('memory', result)}", file=sys.stderr)


if __name__ == "__main__":
    main()
