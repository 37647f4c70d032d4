"""Rank labels by how wrong they look:

python scripts/audit.py --truth gt.json --detections results.json --images photos/ --out audit/
"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["audit", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
