"""Show which boxes are wrong, in a page that opens from disk.

python scripts/explore.py --truth gt.json --detections results.json --images photos/ --out page/
"""

import sys

from boxloss.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["explore", *sys.argv[1:]]))
