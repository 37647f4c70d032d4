r"""Write a trained detector as a SavedModel:

python scripts/export.py runs/sample --out runs/sample/saved_model
"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["export", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
