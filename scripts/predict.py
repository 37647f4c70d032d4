"""Find boxes in images without annotations:

python scripts/predict.py runs/sample data/sample/images --out runs/sample/predictions
"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["predict", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
