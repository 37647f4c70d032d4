"""`python -m boxloss COMMAND`: the same as `boxloss COMMAND`."""

from boxloss.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
