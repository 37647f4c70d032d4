"""What a data set holds, before anything is trained on it: numbers, lines and one page."""

from boxloss.report.check.page import write_check_page
from boxloss.report.check.summary import lines, summarise

__all__ = ["lines", "summarise", "write_check_page"]
