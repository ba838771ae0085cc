"""How fast are prompts read, by their length?

python bench/prefill.py nano --prompt 128 512
python bench/prefill.py gpt-oss-20b --prompt 512 4096 --save
"""

import argparse
from itertools import product

import report


def arguments() -> argparse.Namespace:
    parser = report.parser(__doc__)
    parser.add_argument("--prompt", nargs="+", default=["128", "512"], help="tokens of the prompt")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    around = report.surroundings()
    print(report.in_words(around))
    print(f"{'threads':>7} {'precision':>9} {'prompt':>6} {'tokens/s':>9} {'spread':>17} {'MiB at most':>11}")
    rows = []
    for threads, precision, prompt in product(options.threads, options.precision, options.prompt):
        load = ["--prompt", prompt, "--generate", "1"]
        found = report.measured(options.model, threads, precision, options.repeats, load)
        speeds = [repeat["prefill_tokens_per_second"] for repeat in found["repeats"]]
        print(
            f"{found['threads'] or '-':>7} {found['precision']:>9} {prompt:>6} "
            f"{found['prefill_tokens_per_second']:>9.1f} {min(speeds):>8.1f}-{max(speeds):<8.1f} "
            f"{found['peak_rss_bytes'] / 2**20:>11,.0f}",
            flush=True,
        )
        rows.append(found)
    if options.save:
        print(f"written to {report.save('prefill', around | {'runs': rows})}")


if __name__ == "__main__":
    main()
