"""Reports of per-box errors: tables, files and the explorer page, without a model."""

from boxloss.report.box_report import BoxReport

__all__ = ["BoxReport"]
