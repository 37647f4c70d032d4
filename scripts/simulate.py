"""What each loss does to a box, with exact gradients:

python scripts/simulate.py --loss iou giou diou ciou --points vogel50 --dtype float64
"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["simulate", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
