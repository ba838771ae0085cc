"""How fast are answers written, and how near is that to what the memory's bandwidth allows?

    python bench/decode.py nano --threads 1 2
    python bench/decode.py gpt-oss-20b --depth 0 4096 --batch 1 4 --save
    python bench/decode.py gpt-oss-20b --precision fast --depth 0 4096 32768 131000 --kv-cache-dtype bf16 int8

A decoding step cannot be shorter than the bytes it reads over the bandwidth: attention, router, the chosen experts and
the unembedding at their stored width, and the keys and values cached. The bandwidth is that of fresh memory, and then
that of the mapped experts themselves, which is less where the system keeps the file in small pages or in slower memory.
`growth` is the time that a step takes longer than at the first depth, over the time of reading what it reads more: 1.00
where only the bytes count. What lies at a depth is not read but filled with random keys and values. Each line is a
process of its own, so that its memory is its own.
"""

import argparse
from itertools import product
from typing import Any

import report


def arguments() -> argparse.Namespace:
    parser = report.parser(__doc__)
    parser.add_argument("--depth", nargs="+", default=["0"], help="tokens before the prompt")
    parser.add_argument(
        "--kv-cache-dtype", nargs="+", default=["auto"], help="auto (by the precision), f32, bf16, int8"
    )
    parser.add_argument("--batch", nargs="+", default=["1"], help="requests at once")
    parser.add_argument("--generate", default="64", help="tokens of each answer")
    return parser.parse_args()


def step_seconds(found: dict[str, Any]) -> float:
    """The median time of a step, which brings each request a token."""
    return found["batch"] / found["decode_tokens_per_second"]


def growth(first: dict[str, Any], found: dict[str, Any]) -> float | None:
    """The added time of a step over that of reading its added bytes; None where none were added."""
    added = found["decode_bytes_per_step"] - first["decode_bytes_per_step"]
    if added <= 0:
        return None
    return (step_seconds(found) - step_seconds(first)) / (added / found["read_bandwidth_bytes_per_second"])


def in_words(found: dict[str, Any], grown: float | None) -> str:
    speeds = [repeat["decode_tokens_per_second"] for repeat in found["repeats"]]
    return (
        f"{found['threads'] or '-':>7} {found['precision']:>9} {found['kv_cache_dtype']:>5} {found['depth']:>6} "
        f"{found['batch']:>5} {found['decode_tokens_per_second']:>9.1f} {min(speeds):>8.1f}-{max(speeds):<8.1f} "
        f"{step_seconds(found) * 1e3:>8.1f} {found['decode_bytes_per_step'] / 1e6:>8,.0f} "
        f"{'-' if grown is None else f'{grown:.2f}':>6} "
        f"{found['read_bandwidth_bytes_per_second'] / 1e9:>6.1f} {found['decode_bound_fraction']:>6.1%} "
        f"{found['weights_bandwidth_bytes_per_second'] / 1e9:>7.1f} {found['decode_weights_fraction']:>6.1%}"
    )


def main() -> None:
    options = arguments()
    around = report.surroundings()
    print(report.in_words(around))
    print(
        f"{'threads':>7} {'precision':>9} {'cache':>5} {'depth':>6} {'batch':>5} {'tokens/s':>9} {'spread':>17}"
        f" {'ms/step':>8} {'MB/step':>8} {'growth':>6} {'GB/s':>6} {'bound':>6} {'weights':>7} {'bound':>6}"
    )
    rows = []
    for threads, precision, dtype, batch in product(
        options.threads, options.precision, options.kv_cache_dtype, options.batch
    ):
        first: dict[str, Any] = {}
        for depth in options.depth:
            load = ["--prompt", "32", "--generate", options.generate, "--depth", depth, "--batch", batch]
            load += [] if dtype == "auto" else ["--kv-cache-dtype", dtype]
            found = report.measured(options.model, threads, precision, options.repeats, load)
            first = first or found
            grown = growth(first, found)
            print(in_words(found, grown), flush=True)
            rows.append(found | {"growth": grown})
    if options.save:
        print(f"written to {report.save('decode', around | {'runs': rows})}")


if __name__ == "__main__":
    main()
