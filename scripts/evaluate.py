r"""Evaluate a trained detector:

    python scripts/evaluate.py runs/sample --images data/sample/images \
    --annotations data/sample/annotations.json
"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["evaluate", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
