"""Write a synthetic data set: python scripts/make_synthetic.py --out runs/shapes --count 400"""

import sys

from boxloss.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["make-synthetic", *sys.argv[1:]]))
