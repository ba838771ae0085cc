"""How fast is Ossia on this machine's processor beside llama.cpp and ik_llama.cpp, and how near to the limit?

    python bench/cpu.py --llama FOLDER --ik FOLDER
    python bench/cpu.py --build --save
    python bench/cpu.py --full --prompt 512 2048 --depth 0 4096 --save
    python bench/cpu.py --full --threads 1 --save

All run the same random weights on as many threads, and take turns; FOLDER has the program llama-batched-bench. The
rivals have the dense matrices in 8 bits, as the published GGUF does, and the same values; ours reads them in 8 bits at
`fast`, and in the checkpoint's own bfloat16 at `exact`. Before its turn an engine's file is read through, because all
files together may not fit the memory. With --save the result goes to bench/results, its pictures and table into
docs/performance.md. --build compiles both rivals from the sources that PyPI has, which takes an hour of one processor,
once.

Two threads that share their processors with other work wait for each other at every product, and the rivals' then wait
up to a hundred times as long as they compute. So on a busy machine one thread is right (--threads 1): its figures are
by the time that it had its processor, whatever part of the clock that was.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import report
from engines import page
from engines.programs import PROGRAM, Llama, Ours
from engines.works import Turn, Work, compared, ratios
from serving import rival, weights

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "performance.md"

IK_OPTIONS = ("-rtr",)
"""What makes ik_llama.cpp fastest beyond its defaults, flash attention and fused experts: repacked at load."""


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=Path, metavar="FOLDER", help="llama.cpp's programs (default: those built here)")
    parser.add_argument("--ik", type=Path, metavar="FOLDER", help="ik_llama.cpp's programs (default: those built here)")
    parser.add_argument("--build", action="store_true", help="build both from the sources that PyPI has")
    parser.add_argument(
        "--full",
        action="store_true",
        help="20b in full: 26 GB of disk, 38 while they are made; hours where the machine is busy",
    )
    parser.add_argument("--precision", nargs="+", default=["fast", "exact"], help="ours")
    parser.add_argument("--prompt", type=int, nargs="*", default=[512], help="tokens of prompts")
    parser.add_argument("--generate", type=int, default=32, help="tokens of answers")
    parser.add_argument("--depth", type=int, nargs="*", default=[0], help="tokens before an answer")
    parser.add_argument("--together", type=int, nargs="*", default=[4, 16], help="requests at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--repeats", type=int, default=3, help="in each, of which the one that waited least counts; 1 at a depth"
    )
    parser.add_argument("--save", action="store_true", help="keep the result in bench/results, and make the page")
    parser.add_argument(
        "--show", type=Path, nargs="+", metavar="RESULT", help="measure nothing; make the page of these"
    )
    return parser


def main() -> None:
    options = command_line().parse_args()
    if options.show:
        show(options.show)
    else:
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """All that is asked for, said while it is found."""
    around = report.surroundings()
    print(report.in_words(around))
    files = weights.made(BUILD / ("serve-full" if options.full else "serve"), options.full, [weights.Q8_0])
    ours = [Ours(files.folder, precision, options.threads) for precision in options.precision]
    theirs = rivals(options, files.rivals[weights.Q8_0])
    if not theirs:
        sys.exit("there is no rival; --llama FOLDER or --ik FOLDER names one, --build builds both")
    around |= {"threads": options.threads, "model": weights.described(files.folder)}
    rounds: dict[Work, list[dict[str, Turn]]] = {work: [] for work in works(options)}
    for number in range(options.rounds):
        for work, turns in rounds.items():
            found = compared([*ours, *theirs], work, number, 1 if work.depth else options.repeats)
            turns.append({name: turn.alone() for name, turn in found.items()} if options.threads == 1 else found)
            print(f"{work.name}: {in_words(turns[-1])}", flush=True)
            if options.save:
                keep(around | summary(rounds, ours))


def in_words(turns: dict[str, Turn]) -> str:
    """One round."""
    return ", ".join(f"{name} {turn.speed:.2f} tokens/s, waiting {turn.waited:.0%}" for name, turn in turns.items())


def keep(result: dict[str, Any]) -> None:
    """After each work, so that a run which is interrupted keeps what it has."""
    show([report.save("cpu", result)])


def show(files: list[Path]) -> None:
    """Put these results, and a picture of each, into the page."""
    results = {f"cpu{number or ''}.png": json.loads(file.read_text("utf-8")) for number, file in enumerate(files)}
    for plot, result in results.items():
        result["command"] = command_of(result)
        page.drawn(result, PAGE.parent / plot)
    page.put(PAGE, page.section(results))


def command_of(result: dict[str, Any]) -> str:
    """The command for what a result has, which is less than was asked for where the run was ended before."""
    words, names = shlex.split(result["command"]), {work["name"] for work in result["works"]}
    options = command_line().parse_known_args(words[2:])[0]
    asked = vars(options) | {"rounds": [options.rounds]}
    made = {
        option: [each for each in asked[option] if make(each).name in names] for option, make in makers(options).items()
    }
    made["rounds"] = [max(len(each) for work in result["works"] for each in work["rounds"].values())]
    for option, values in made.items():
        words = words if values == asked[option] else with_values(words, f"--{option}", values)
    return shlex.join(words)


def with_values(words: Sequence[str], option: str, values: Sequence[int]) -> list[str]:
    """A command's words with these values of an option, which may have had none or others."""
    begin = words.index(option) if option in words else len(words)
    end = next((at for at in range(begin + 1, len(words)) if words[at].startswith("--")), len(words))
    return [*words[:begin], option, *map(str, values), *words[end:]]


def summary(rounds: dict[Work, list[dict[str, Turn]]], ours: list[Ours]) -> dict[str, Any]:
    """What the rounds so far say."""
    own = [engine.name for engine in ours]
    return {
        "works": [row(work, turns, own) for work, turns in rounds.items() if turns],
        "bounds": bounds(ours),
        "load_average": os.getloadavg()[0],
    }


def rivals(options: argparse.Namespace, model: Path) -> list[Llama]:
    """Those that are named, built or found here."""
    found: list[Llama] = []
    for name, given, extra in (("llama.cpp", options.llama, ()), ("ik_llama.cpp", options.ik, IK_OPTIONS)):
        folder = given.resolve() if given else BUILD / name / "build" / "bin"
        if options.build and not given:
            rival.build(BUILD / name, rival.SDISTS[name], (PROGRAM,))
        if (folder / PROGRAM).exists():
            found.append(Llama(name, folder, model, options.threads, extra))
        elif given:
            sys.exit(f"{given} has no {PROGRAM}; the folder of a build's programs is right")
    return found


def works(options: argparse.Namespace) -> list[Work]:
    """All that is asked for; those at a depth, which take longest, last."""
    prompt, answer, together = makers(options).values()
    answers = [answer(depth) for depth in sorted(options.depth)]
    return [
        *map(prompt, options.prompt),
        *(work for work in answers if not work.depth),
        *map(together, options.together),
        *(work for work in answers if work.depth),
    ]


def makers(options: argparse.Namespace) -> dict[str, Callable[[int], Work]]:
    """What a number of each option asks for."""
    return {
        "prompt": lambda tokens: Work(tokens, 1, prefill=True),
        "depth": lambda depth: Work(32, options.generate, depth=depth),
        "together": lambda batch: Work(32, options.generate, batch=batch),
    }


def row(work: Work, turns: list[dict[str, Turn]], own: list[str]) -> dict[str, Any]:
    """What came of one work; where a run was interrupted, works differ in the number of their rounds."""
    speeds = {name: [turn[name].speed for turn in turns] for name in turns[0]}
    return {
        "name": work.name,
        "speeds": {name: report.spread(each) for name, each in speeds.items()},
        "ahead": ratios(speeds, own),
        "rounds": speeds,
        "waited": {name: [turn[name].waited for turn in turns] for name in speeds},
    }


def bounds(ours: list[Ours]) -> list[dict[str, Any]]:
    """What each of our runs says of its instructions, of the bandwidths and of the bytes of a step."""
    names = ("isa", "prompt", "generate", "batch", "depth", "precision")
    names += ("decode_tokens_per_second", "decode_bytes_per_step", "peak_rss_bytes")
    names += ("read_bandwidth_bytes_per_second", "decode_bound_fraction")
    names += ("weights_bandwidth_bytes_per_second", "decode_weights_fraction")
    return [{name: each[name] for name in names} for engine in ours for each in engine.reports]


if __name__ == "__main__":
    main()
