"""How fast is `ossia serve` beside llama.cpp's `llama-server`, and what does a server cost beside its engine?

    python bench/serve.py --llama-server PATH
    python bench/serve.py --build-rival --save
    python bench/serve.py --full --llama-server PATH --save

Both servers run the same random weights on as many threads, and take turns: throughput, time to the first token and for
each after it, for several numbers of streaming clients; a conversation with a tool, whose prompts share what came
before; and what a token costs in the server beside the bare engine. With --save the result goes to bench/results, its
plot beside it, and both into docs/performance.md. --build-rival takes an hour of one processor, once.
"""

import argparse
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import report
from serving import conversation, load, overhead, page, rival, weights
from serving.servers import Ours, Rival, Server

from ossia.checkpoint import open_checkpoint
from ossia.harmony import Vocabulary
from ossia.loading import vocabulary_of

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "performance.md"

SLOT_CONTEXT = 1024
TALK_CONTEXT = 8192


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-server", type=Path, metavar="PATH", help="default: the one built here, or in PATH")
    parser.add_argument("--build-rival", action="store_true", help="build it from the sources that PyPI has")
    parser.add_argument("--full", action="store_true", help="20b in full: 25 GiB of disk, an hour")
    parser.add_argument("--q8", action="store_true", help="also the rival with dense weights in 8 bits")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=128, help="tokens of each prompt")
    parser.add_argument("--generate", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", default="fast", choices=("exact", "fast", "turbo"), help="ours (default: fast)")
    parser.add_argument("--skip", nargs="*", default=[], choices=("load", "conversation", "overhead"))
    parser.add_argument("--save", action="store_true", help="keep the result in bench/results, and make the page")
    parser.add_argument("--bare", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.bare is not None:
        model, precision, context, work, clients, rounds = options.bare
        print(json.dumps(overhead.bare(model, precision, context, load.Work(*work), clients, rounds)))
        return
    around = report.surroundings()
    print(report.in_words(around))
    program = (
        rival.build(BUILD / "llama") if options.build_rival else rival.found(options.llama_server, BUILD / "llama")
    )
    if program is None:
        sys.exit("there is no llama-server; --llama-server PATH names one, --build-rival builds one")
    result = around | measured(options, program)
    if options.save:
        file = report.save("serve", result)
        plot = PAGE.parent / "serving.png"
        page.drawn(result, plot)
        page.put(PAGE, page.section(result, plot.name))
        print(f"written to {file}, {plot} and {PAGE}")


def measured(options: argparse.Namespace, program: Path) -> dict[str, Any]:
    """All that is asked for, said while it is found."""
    forms = weights.FORMS if options.q8 else {weights.BFLOAT16: weights.FORMS[weights.BFLOAT16]}
    files = weights.made(BUILD / ("serve-full" if options.full else "serve"), options.full, forms)
    checkpoint = open_checkpoint(files.folder)
    vocabulary = vocabulary_of(checkpoint)
    work = load.Work(options.prompt, options.generate, min(vocabulary.size, 4000 if not options.full else 190_000))
    loads = [os.getloadavg()[0]]
    result: dict[str, Any] = {
        "model": weights.described(files.folder),
        "precision": options.precision,
        "threads": options.threads,
        "rounds": options.rounds,
        "work": asdict(work),
        "rival": rival.version(program),
        "forms": forms,
        "points": [] if "load" in options.skip else points(options, program, files, work),
    }
    if "conversation" not in options.skip:
        script = conversation.Script()
        talks = conversations(options, program, files, vocabulary, script)
        result |= {"script": asdict(script), "conversation": talks}
    if "overhead" not in options.skip:
        result["overhead"] = overheads(options)
    loads += [point["load_average"] for point in result["points"]] + [os.getloadavg()[0]]
    return result | {"load_average": [min(loads), max(loads)]}


def points(options: argparse.Namespace, program: Path, files: weights.Files, work: load.Work) -> list[dict[str, Any]]:
    """Every number of clients, with all servers up at once; a server that nobody asks computes nothing."""
    found: list[dict[str, Any]] = []
    slots = max(options.clients)
    with ExitStack() as stack:
        servers: list[Server] = [stack.enter_context(ours(options, files, SLOT_CONTEXT))]
        for name, file in files.rivals.items():
            servers.append(stack.enter_context(theirs(options, program, name, file, slots, SLOT_CONTEXT)))
        print(f"{'clients':>7} {'server':>18} " + " ".join(f"{name:>26}" for name in load.FIGURES), flush=True)
        for clients in options.clients:
            rounds = load.compared(servers, work, clients, options.rounds)
            point = {
                "clients": clients,
                "load_average": os.getloadavg()[0],
                "servers": {name: load.summary(each) for name, each in rounds.items()},
                "ahead": {name: load.ahead(rounds["ossia"], rounds[name]) for name in files.rivals},
                "rounds": rounds,
            }
            say(point)
            found.append(point)
    return found


def say(point: dict[str, Any]) -> None:
    for kind in ("servers", "ahead"):
        for name, figures in point[kind].items():
            spreads = [
                f"{figures[each]['median']:.2f} ({figures[each]['least']:.2f}-{figures[each]['most']:.2f})"
                for each in load.FIGURES
            ]
            label = name if kind == "servers" else f"ahead of {name}"
            print(f"{point['clients']:>7} {label:>18} " + " ".join(f"{each:>26}" for each in spreads), flush=True)


def conversations(
    options: argparse.Namespace,
    program: Path,
    files: weights.Files,
    vocabulary: Vocabulary,
    script: conversation.Script,
) -> dict[str, list[dict[str, int]]]:
    """The same script with each server, which has nothing else to do and nothing of it in its cache."""
    found: dict[str, list[dict[str, int]]] = {}
    name, file = next(iter(files.rivals.items()))
    for server in (ours(options, files, TALK_CONTEXT), theirs(options, program, name, file, 1, TALK_CONTEXT)):
        with server as started:
            found[started.name] = [asdict(each) for each in conversation.converse(started, vocabulary, script)]
        total = sum(each["computed"] for each in found[started.name])
        print(
            f"{started.name}: {total} tokens of prompts computed, {[e['computed'] for e in found[started.name]]}",
            flush=True,
        )
    return found


def overheads(options: argparse.Namespace) -> list[dict[str, Any]]:
    """On nano, whose engine takes so little that what the server takes can be told from it."""
    work = load.Work(32, options.generate, 4000)
    log, found = BUILD / "overhead.log", list[dict[str, Any]]()
    for row in overhead.compared_with_bare("nano", options.precision, SLOT_CONTEXT, work, [1, 16], options.rounds, log):
        seconds, source = overhead.token_seconds_20b(report.RESULTS, int(row["clients"]))
        share = row["overhead_processor_us"] / seconds / 1e6
        found.append(row | {"model": "nano", "token_20b_us": seconds * 1e6, "source": source, "share_20b": share})
        cost = f"{row['overhead_processor_us']:.0f} us of computing a token beyond the bare engine's"
        print(f"nano, {row['clients']} clients: {cost}, {share:.2%} of 20b's token", flush=True)
    return found


def ours(options: argparse.Namespace, files: weights.Files, context: int) -> Ours:
    return Ours(str(files.folder), options.threads, options.precision, context, BUILD / "ossia.log")


def theirs(options: argparse.Namespace, program: Path, name: str, file: Path, slots: int, context: int) -> Rival:
    return Rival(program, file, options.threads, slots, context, BUILD / f"{name}.log", name)


if __name__ == "__main__":
    main()
