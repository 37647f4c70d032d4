"""One row a true box and one a false prediction: what is wrong, by how much, on which side."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from boxloss.evaluation.detections import Detections, DetectionsLike
from boxloss.evaluation.kinds import BACKGROUND_IOU, KINDS, Candidate, candidates, classify
from boxloss.evaluation.matching import Matches, match
from boxloss.evaluation.row import Row, size_of
from boxloss.evaluation.truth import Truth, TruthLike
from boxloss.tensors.overlap import iou_xyxy
from boxloss.types import Entry

if TYPE_CHECKING:
    from boxloss.losses import BoxLoss

__all__ = ["BACKGROUND_IOU", "KINDS", "all_rows", "best_threshold", "error_rows", "error_table"]


def error_table(
    truth: TruthLike,
    detections: DetectionsLike,
    loss: "str | BoxLoss | None" = "ciou",
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
) -> list[Entry]:
    """A list of dicts: one per true box, in the order of the truth, then one per false detection.

    truth: DataSet, COCO dict or path; detections: list of COCO results or path.
    loss: a name, a Loss of kind "box" in xyxy, or None for no `box_error` and terms.
    score_threshold: detections below it do not exist; None takes `best_threshold`.

    Every detection that counts is in exactly one row: that of the true box that it found or
    nearly found, else a row of its own. Ignored boxes and what was found on them have no row.

    row: "truth" or "prediction". kind: "ok", or TIDE's "loc" (right class, IoU between 0.1 and the
    threshold), "cls" (wrong class, IoU above), "both", "dupe" (its box is found already), "bkg"
    (nothing there), "miss" (a true box that no other error explains).
    truth_*, prediction_*: corners in pixels; error_*: prediction - truth, signed pixels;
    iou, box_error, term_*: None where one of the two boxes is missing.
    size: COCO's small, medium or large, by the true box where there is one.
    """
    rows = error_rows(truth, detections, loss, iou_threshold, score_threshold)
    return [dict(row) for row in rows]


def error_rows(
    truth: TruthLike,
    detections: DetectionsLike,
    loss: "str | BoxLoss | None" = "ciou",
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
    matches: Matches | None = None,
) -> list[Row]:
    """The rows of `error_table` as a list of `Row`, for whoever goes on computing with them.

    matches: those of `match` at `iou_threshold`, where they are known already.
    """
    truth = Truth.of(truth)
    detections = Detections.of(detections, truth)
    if matches is None:
        matches = match(truth, detections, iou_threshold)
    if score_threshold is None:
        score_threshold = best_threshold(truth, detections, matches)
    pairs = classify(truth, detections, matches, iou_threshold, score_threshold)
    rows = [_row(truth, detections, *pair) for pair in pairs]
    measure(rows, None if loss is None else box_loss(loss))
    return rows


def all_rows(
    truth: Truth,
    detections: Detections,
    matches: Matches,
    iou_threshold: float = 0.5,
    keep: Callable[[list[Candidate]], list[Candidate]] | None = None,
) -> tuple[list[Row], list[tuple[float, float]]]:
    """The unmeasured rows of every threshold, and the thresholds (low, high] of each.

    keep: chooses among the candidates, of which there are millions before there are rows.
    """
    found = candidates(truth, detections, matches, iou_threshold)
    found = found if keep is None else keep(found)
    rows = [_row(truth, detections, *candidate[:4]) for candidate in found]
    return rows, [(candidate.low, candidate.high) for candidate in found]


def best_threshold(truth: Truth, detections: Detections, matches: Matches) -> float:
    """The score from which on precision and recall have the best F1; 0 where nothing is found.

    Detections below a score never change what those above it match, so one pass over all of them
    gives the counts at every threshold.
    """
    scores = detections.score[matches.used]
    found = matches.truth_of[matches.used] >= 0
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(found[order])
    if not len(hits) or not hits[-1]:
        return 0.0
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + np.count_nonzero(~truth.ignored))
    return float(scores[order][np.argmax(f1)])


def _row(truth, detections, kind, true, found, own):
    """One row; `true` and `found` are positions or -1; `own`: the row of a true box."""
    names = truth.class_names
    predicted = names[detections.label[found]] if found >= 0 else None
    image = truth.images[truth.image[true] if true >= 0 else detections.image[found]]
    area = truth.area[true] if true >= 0 else np.prod(detections.xywh[found, 2:])
    return Row(
        about="truth" if own else "prediction",
        image_id=image["id"],
        file_name=image["file_name"],
        annotation_id=truth.annotation_ids[true] if true >= 0 else None,
        detection=int(detections.position[found]) if found >= 0 else None,
        class_name=names[truth.label[true]] if own else predicted,
        prediction_class=predicted,
        kind=kind,
        size=size_of(area),
        score=float(detections.score[found]) if found >= 0 else None,
        truth=tuple(truth.xyxy[true].tolist()) if true >= 0 else None,
        prediction=tuple(detections.xyxy[found].tolist()) if found >= 0 else None,
    )


def measure(rows: list[Row], loss: "BoxLoss | None") -> None:
    """Fill iou, box_error and terms of the rows that have both boxes."""
    pairs = [row for row in rows if row.error is not None]
    true, predicted = (
        np.array([getattr(row, box) for row in pairs], "float64").reshape(-1, 4)
        for box in ("truth", "prediction")
    )
    for row, value in zip(pairs, iou_xyxy(true, predicted), strict=True):
        row.iou = float(value)
    if loss is None:
        return
    tensors = loss.tensors(true[:, None], predicted[:, None]).numpy()
    terms = {name: value[:, 0].tolist() for name, value in tensors.terms.items()}
    for row in rows:
        row.terms = dict.fromkeys(terms)  # every row has the columns
    for i, (row, error) in enumerate(zip(pairs, tensors.box_errors[:, 0].tolist(), strict=True)):
        row.box_error = error
        row.terms = {name: values[i] for name, values in terms.items()}


def box_loss(loss):
    """`losses.box_loss` in xyxy. Keras takes seconds to import: only where a loss is asked for."""
    from boxloss import losses

    return losses.box_loss(loss, bounding_box_format="xyxy")
