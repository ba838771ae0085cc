"""How fast are answers written, and how near is that to what the memory's bandwidth allows?

    python bench/decode.py nano --threads 1 2
    python bench/decode.py gpt-oss-20b --depth 0 4096 --batch 1 4 --save

A decoding step cannot be shorter than the bytes it reads over the bandwidth: attention, router, the chosen experts and
the unembedding at their stored width, and the keys and values cached. The bandwidth is that of fresh memory, and then
that of the mapped weights themselves, which is less where the system keeps the file in small pages. Each line is a
process of its own, so that its memory is its own.
"""

import argparse
from itertools import product

import report


def arguments() -> argparse.Namespace:
    parser = report.parser(__doc__)
    parser.add_argument("--depth", nargs="+", default=["0"], help="tokens before the prompt")
    parser.add_argument("--batch", nargs="+", default=["1"], help="requests at once")
    parser.add_argument("--generate", default="64", help="tokens of each answer")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    around = report.surroundings()
    print(report.in_words(around))
    print(
        f"{'threads':>7} {'precision':>9} {'depth':>6} {'batch':>5} {'tokens/s':>9} {'spread':>17}"
        f" {'GB/s':>6} {'bound':>6} {'weights':>7} {'bound':>6}"
    )
    rows = []
    for threads, precision, depth, batch in product(options.threads, options.precision, options.depth, options.batch):
        load = ["--prompt", "32", "--generate", options.generate, "--depth", depth, "--batch", batch]
        found = report.measured(options.model, threads, precision, options.repeats, load)
        speeds = [repeat["decode_tokens_per_second"] for repeat in found["repeats"]]
        bandwidth = found["read_bandwidth_bytes_per_second"] / 1e9
        print(
            f"{found['threads'] or '-':>7} {found['precision']:>9} {depth:>6} {batch:>5} "
            f"{found['decode_tokens_per_second']:>9.1f} {min(speeds):>8.1f}-{max(speeds):<8.1f} "
            f"{bandwidth:>6.1f} {found['decode_bound_fraction']:>6.1%} "
            f"{found['weights_bandwidth_bytes_per_second'] / 1e9:>7.1f} {found['decode_weights_fraction']:>6.1%}",
            flush=True,
        )
        rows.append(found)
    if options.save:
        print(f"written to {report.save('decode', around | {'runs': rows})}")


if __name__ == "__main__":
    main()
