"""Take the pictures of an explorer page: python scripts/page_pictures.py RUN/explorer OUT"""

import pathlib
import sys

from boxloss.report.page.screenshots import take_screenshots


def main(argv=None):
    page, out = sys.argv[1:] if argv is None else argv
    for path in take_screenshots(pathlib.Path(page) / "index.html", out):
        print(path)


if __name__ == "__main__":
    main()
