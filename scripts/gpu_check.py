"""Check losses and training on a GPU: python scripts/gpu_check.py --backend tensorflow"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["gpu-check", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
