"""The error explorer: a folder with one HTML file and the pictures it shows.

The page opens from disk, has its data inside, loads nothing from a network and runs nothing but its
own script (a Content-Security-Policy with hashes forbids the rest).
"""

from boxloss.report.page.whole import MOST_ROWS
from boxloss.report.page.write import write_page

__all__ = ["MOST_ROWS", "write_page"]
