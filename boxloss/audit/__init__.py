"""Which labels are wrong: annotations ranked by how much a detector contradicts them.

    audit = LabelAudit(truth, detections, images)   # COCO truth and results of any detector
    audit.table()[0]                                # the most suspicious box
    audit.to_html("page", worst=200)
    audit.to_coco("corrected.json")                 # a proposal; the truth is not touched

The detections must come from a model that did not learn from these labels: a detector repeats the
errors that it was taught. `boxloss.audit.folds` makes such detections.
"""

from boxloss.audit.label_audit import LabelAudit
from boxloss.audit.scores import KINDS

__all__ = ["KINDS", "LabelAudit"]
