"""What `import boxloss` adds to `import keras`: medians of fresh interpreters, interleaved."""

import os
import statistics
import subprocess
import sys

from boxloss import cli

HELP = "time `import boxloss` on top of `import keras`"

# Keras first, so that what is measured afterwards is boxloss alone, its losses included: with Keras
# there they are registered on import.
CODE = """
import time
{before}
started, used = time.perf_counter(), time.process_time()

import boxloss

{after}
print(1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - used))
"""
CASES = {
    "on_top_of_keras": ("import keras", ""),
    "with_a_loss": ("import keras", "boxloss.GIoULoss()"),
    "alone": ("", ""),
}


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, default=3, help="interleaved (default: %(default)s)")


def run(args):
    """{case: {"wall_ms", "cpu_ms"}}: boxloss after Keras, the same with a first loss, and alone.

    CPU time stays meaningful on a machine that is busy with other work.
    """
    times = {case: [] for case in CASES}
    for _ in range(args.rounds):
        for case, (before, after) in CASES.items():
            times[case].append(_time(CODE.format(before=before, after=after)))
    result = {}
    for case, rounds in times.items():
        wall, cpu = (round(statistics.median(column), 1) for column in zip(*rounds, strict=True))
        result[case] = {"wall_ms": wall, "cpu_ms": cpu}
        print(f"{case:16} {wall:8.1f} ms   cpu {cpu:8.1f} ms", file=sys.stderr)
    return result


def _time(code):
    """Milliseconds of wall and CPU time that a fresh interpreter prints.

    Of modules compiled once, as an installed package is: the variable would compile them each time.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise ValueError(f"boxloss must be importable. Received: {done.stderr.strip()[-300:]}")
    return [float(number) for number in done.stdout.splitlines()[-1].split()]


def main(argv=None):
    return cli.run_module("scripts/benchmarks/import_time.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
