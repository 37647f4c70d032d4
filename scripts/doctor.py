"""Tell backend, devices, versions, and what is missing for what: python scripts/doctor.py"""

import sys

from boxloss.cli import main as command


def main(argv=None):
    return command(["doctor", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
