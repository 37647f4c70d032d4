"""Measure speed: python scripts/benchmark.py losses --boxes 100 10000 1000000 --out benchmarks"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["benchmark", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
