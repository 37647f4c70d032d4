r"""Train a detector:

    python scripts/train.py --images data/sample/images \
    --annotations data/sample/annotations.json --out runs/sample
"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["train", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
