"""LabelAudit: annotations ranked by suspicion, and what would mend them."""

import pathlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from boxloss import evaluation
from boxloss.audit import confidence
from boxloss.audit.corrections import ACTIONS, corrected, correction, cut, write_new
from boxloss.audit.evidence import gather, uncovered
from boxloss.audit.scores import (
    HISTORY_WEIGHT,
    KINDS,
    SUSPECT,
    annotation_scores,
    history_scores,
    loss_scores,
    mean_losses,
    missing_scores,
    names_of,
)
from boxloss.audit.table import write_audit_csv
from boxloss.datasets import DataSet
from boxloss.evaluation.detections import DetectionsLike
from boxloss.evaluation.opened import open_truth
from boxloss.evaluation.row import SIDES, Row, size_of
from boxloss.evaluation.truth import TruthLike
from boxloss.report import BoxReport
from boxloss.report.page import MOST_ROWS
from boxloss.types import Entry, PathLike

if TYPE_CHECKING:
    from boxloss.losses import BoxLoss


LEAST_PLACES = 200
CERTAIN = 4.0  # decades of a label that is in the file twice


class LabelAudit:
    """Annotations of a data set, and places without one, the most suspicious first.

    Args:
        truth: the labels to audit: a COCO file or dict, a `datasets.DataSet`, or a folder or
            `data.yaml` of another format (then with `images`).
        detections: results of any detector that did not learn from these labels: COCO results as a
            list or a file, Ultralytics' predictions.json, or a folder of YOLO result files.
        images: the image folder, for the page's pictures; not needed for numbers.
        score_threshold: detections below it do not exist.
        apply_from: the probability of being right from which a correction is applied.
        correct_from: if given, a correction is applied only from this suspicion on as well.
        history: a run that was trained on these labels, its folder or its box_history.csv: boxes
            that it seldom found in its epochs become more suspicious. ValueError where it knows
            none of the boxes.
        pair_images, pair_classes, class_names: how the results name images and classes, see
            `evaluation.Detections.of`. part: "train", "val" or "test" of a data.yaml or data set
            root that says where its images are.
        least_suspicion: what is less suspicious has no row. A million rows take two gigabytes.

    Images without any detection in the results are not audited: that a detector did not look at
    them says nothing about their labels. `unseen` counts them, and their boxes count as ignored.
    Broken labels and unknown images or classes are left out; `told` has a line about each.

    Attributes:
        rows: list of `evaluation.Row`, the most suspicious first: one per annotation that counts,
            one per place where an object may be missing. See `table`.
        scores: {kind: (n,)} decades of each annotation, in the order of the truth, 0 for "missing".
        history, loss_scores: (n,) decades of the training history, of being seldom found and of a
            loss that stayed high, 0 without; only the first counts in the suspicion.
        suspicion: (n,), the largest of the kinds', and half of the history's on top. places: (k,)
            positions in `detections` of possible missing objects; place_scores: (k,) decades;
            place_values: (k,) in [0, 1], falling.
        truth, detections: `evaluation.Truth` and `evaluation.Detections`. pairing, dropped,
            problems, told: how they were paired, and what was left out.
    """

    def __init__(
        self,
        truth: TruthLike,
        detections: DetectionsLike,
        images: PathLike | None = None,
        *,
        score_threshold: float = 0.05,
        apply_from: float = confidence.APPLY_FROM,
        correct_from: float | None = None,
        history: PathLike | None = None,
        pair_images: str | None = None,
        pair_classes: str | None = None,
        class_names: Sequence[str] | None = None,
        part: str | None = None,
        least_suspicion: float = 0.0,
    ) -> None:
        self._inputs, self._images = (truth, detections), images
        self.apply_from, self.correct_from = apply_from, correct_from
        opened = open_truth(truth, images, as_it_is=True, part=part)
        self._source = opened.source
        found = evaluation.Detections.of(
            detections, opened.truth, pair_images, pair_classes, class_names
        )
        self.pairing, self.problems = found.pairing(), [str(line) for line in opened.problems]
        self.dropped = {**opened.dropped, "detections": sum(found.unknown.values())}
        self.unseen, self.told = len(found.unseen), found.told(opened.truth)
        self.truth = _without_unseen(opened.truth, found.unseen)
        self.detections = at_least(found, score_threshold)
        self._least = least_suspicion
        self._evidence = gather(self.truth, self.detections)
        self._past = None if history is None else self._past_of(history)
        self._score()
        self._at = {position: i for i, position in enumerate(self.truth.position.tolist())}
        self.rows = self._ranked()

    def _past_of(self, history):
        """What the history says of each annotation, an empty dict where it says nothing."""
        truth, known = self.truth, evaluation.read_box_history(history)
        keys = zip(truth.image, truth.annotation_ids, strict=True)
        past = [known.get((str(truth.images[i]["id"]), str(number)), {}) for i, number in keys]
        if not any(past):
            raise ValueError(
                "`history` must be of a run that was trained on these boxes. "
                f"Received: {len(known)} boxes, none of which is among the {len(truth)}"
            )
        return past

    def _past_numbers(self, name):
        """(n,): a column of the history, NaN where it says nothing."""
        past = self._past or [{}] * len(self.truth)
        values = [entry.get(f"history_{name}") for entry in past]
        return np.array([np.nan if value is None else value for value in values], "float64")

    def _score(self):
        evidence, counted = self._evidence, ~self.truth.ignored
        has = evidence.owner >= 0
        sure = np.zeros(len(self.truth))
        sure[has] = self.detections.score[evidence.owner[has]]
        self.scores = annotation_scores(evidence, sure, counted)
        self.scores["missing"] = np.zeros(len(self.truth))
        twice = confidence.exact_duplicates(self.truth, evidence) & counted
        self.scores["duplicate"][twice] = np.maximum(self.scores["duplicate"][twice], CERTAIN)
        self.history = history_scores(self._past_numbers("found"), counted)
        self.mean_losses = mean_losses(
            self._past_numbers("mean_error"),
            self._past_numbers("mean_score"),
            self._past_numbers("epochs") > 0,
        )
        self.loss_scores = loss_scores(self.mean_losses, counted)
        self.suspicion = np.max(list(self.scores.values()), axis=0) + HISTORY_WEIGHT * self.history
        self._suspected = names_of(self.scores, evidence.errors, sure)
        self.places, self.place_values = uncovered(self.detections, evidence)
        self.place_scores = missing_scores(self.place_values, np.count_nonzero(counted))
        self._judge(sure, counted, twice)

    def _judge(self, sure, counted, twice):
        """How likely each correction is right: `confidence` has the reasons."""
        truth, detections, evidence = self.truth, self.detections, self._evidence
        self._box_features = confidence.box_features(
            truth, detections, evidence, self.scores, sure, counted
        )
        self._place_features = confidence.place_features(detections, evidence, self.places)
        actions = np.array([ACTIONS[kind] for kind in self._suspected], dtype=object)
        self.probability = np.zeros(len(truth))
        for action in ("move", "relabel", "remove"):
            rows = actions == action
            chosen = {name: values[rows] for name, values in self._box_features.items()}
            self.probability[rows] = confidence.probability(action, chosen)
        # Without a detection of its own there is nowhere to move a box to.
        self.probability[(actions == "move") & (evidence.owner < 0)] = 0.0
        self.probability[np.equal(self._suspected, "duplicate")] = confidence.EITHER
        self.probability[twice] = confidence.EXACT
        self.place_probability = confidence.probability("add", self._place_features)

    # Rows -----------------------------------------------------------------------------------------

    def _ranked(self):
        counted = np.flatnonzero(~self.truth.ignored)
        # More places than boxes would bury the rest; those left out have the least suspicion. A set
        # with hardly a label still shows what it may lack.
        places = self.places[: max(len(counted), LEAST_PLACES)]
        rows = [self._annotation_row(i) for i in counted if self.suspicion[i] >= self._least]
        rows += [
            self._place_row(i) for i in range(len(places)) if self.place_scores[i] >= self._least
        ]
        rows.sort(key=lambda row: -row["suspicion"])
        for rank, row in enumerate(rows, 1):
            row["rank"] = rank
        self._keep_one_of_two(rows)
        return rows

    def _keep_one_of_two(self, rows):
        """Of two annotations that duplicate each other only the more suspicious one is removed."""
        gone = set()
        for row in rows:
            if row["suspected"] == "duplicate" and row["applied"]:
                if self._neighbour_of(row) in gone:
                    row.extra |= {"applied": False, "correction": None}
                else:
                    gone.add(row["position"])

    def _annotation_row(self, i):
        owner, truth = int(self._evidence.owner[i]), self.truth
        row = self._row(i, owner)
        row.iou = float(self._evidence.iou[i]) if owner >= 0 else None
        row.extra |= {"suspicion": float(self.suspicion[i]), "suspected": self._suspected[i]}
        probability = float(self.probability[i])
        change = correction(
            self._suspected[i],
            truth.label[i],
            truth.xyxy[i],
            self.detections.label[owner] if owner >= 0 else None,
            self.detections.xyxy[owner] if owner >= 0 else None,
            self._evidence.other_label[i],
        )
        change = cut(change, truth.images[truth.image[i]])
        scores = {f"suspicion_{kind}": float(self.scores[kind][i]) for kind in KINDS}
        if self._past is not None:
            loss = float(self.mean_losses[i])
            scores |= {
                "suspicion_history": float(self.history[i]),
                "suspicion_loss": float(self.loss_scores[i]),
                **self._past[i],
                "history_mean_loss": loss if np.isfinite(loss) else None,
            }
        row.extra |= scores | self._correction(change, row, probability)
        row.extra["position"] = int(truth.position[i])
        return row

    def _place_row(self, j):
        found = int(self.places[j])
        score = float(self.place_scores[j])
        row = self._row(-1, found)
        row.extra |= {"suspicion": score, "suspected": "missing"}
        change = correction(
            "missing", None, None, self.detections.label[found], self.detections.xyxy[found], None
        )
        change = cut(change, self.truth.images[self.detections.image[found]])
        scores = dict.fromkeys([f"suspicion_{kind}" for kind in KINDS], 0.0)
        scores["suspicion_missing"] = score
        row.extra |= scores | self._correction(change, row, float(self.place_probability[j]))
        row.extra["position"] = None
        return row

    def _row(self, true, found):
        truth, detections = self.truth, self.detections
        own = true >= 0
        predicted = truth.class_names[detections.label[found]] if found >= 0 else None
        image = truth.images[truth.image[true] if own else detections.image[found]]
        return Row(
            about="truth" if own else "prediction",
            image_id=image["id"],
            file_name=image["file_name"],
            annotation_id=truth.annotation_ids[true] if own else None,
            detection=int(detections.position[found]) if found >= 0 else None,
            class_name=truth.class_names[truth.label[true]] if own else predicted,
            prediction_class=predicted,
            kind=self._kind(true, found) if own else "bkg",
            size=size_of(truth.area[true] if own else np.prod(detections.xywh[found, 2:])),
            score=float(detections.score[found]) if found >= 0 else None,
            truth=tuple(truth.xyxy[true].tolist()) if own else None,
            prediction=tuple(detections.xyxy[found].tolist()) if found >= 0 else None,
        )

    def _kind(self, true, found):
        """How the page names the pair: as an error of the detection."""
        if found < 0:
            return "miss"
        near = self._evidence.iou[true] >= 0.5
        if self.truth.label[true] == self.detections.label[found]:
            return "ok" if near else "loc"
        return "cls" if near else "both"

    def _correction(self, change, row, probability):
        """What is proposed for a row, how likely it is right, and whether it is applied."""
        gone = change.action == "remove"
        values = [None] * 4 if gone else change.box.tolist()
        applied = probability >= self.apply_from
        if self.correct_from is not None:
            applied = applied and row["suspicion"] >= self.correct_from
        return {
            "proposal": change.action,
            "probability": probability,
            "applied": applied,
            "correction": change.action if applied else None,
            "corrected_class": None if gone else self.truth.class_names[change.label],
            "corrected_category_id": None if gone else self.truth.category_ids[change.label],
            **{f"corrected_{side}": value for side, value in zip(SIDES, values, strict=True)},
        }

    # What it gives --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.rows)

    def features(self, action: str) -> dict[str, np.ndarray]:
        """What `confidence` looks at, of the rows that propose `action`, in their order."""
        rows = [row for row in self.rows if row["proposal"] == action]
        if action == "add":
            at = {int(self.detections.position[found]): j for j, found in enumerate(self.places)}
            found, order = self._place_features, [at[row.detection] for row in rows]
        else:
            at = {int(position): i for i, position in enumerate(self.truth.position)}
            found, order = self._box_features, [at[row["position"]] for row in rows]
        return {name: values[order] for name, values in found.items()}

    def table(self) -> list[Entry]:
        """A copy of the rows as plain dicts, the most suspicious first.

        The keys of `evaluation.error_table` with the annotation as truth and its own detection as
        prediction (box_error is None), and
        suspicion: decades; suspicion 3 means that 1 in 1,000 ordinary boxes of this set looks this
        wrong. suspected: the kind of error, one of `KINDS`; suspicion_shift ...: of each kind.
        proposal: "move", "relabel", "remove" or "add"; corrected_class, corrected_x1 ...: the box
        as it should be, by the detection. probability: how likely the proposal brings the label
        nearer to the truth. applied: whether that is enough to make the correction; correction:
        the proposal if it is applied, else None. position: place of the annotation in the file.
        With a history: suspicion_history, and its columns as history_mean_error and so on; the loss
        of each box over the epochs as history_mean_loss, and its decades as suspicion_loss, which
        do not count in the suspicion.
        """
        return [{"rank": row["rank"]} | dict(row) for row in self.rows]

    def image_scores(self) -> dict[Any, float]:
        """{image id: the largest suspicion in it}, 0 for images without any box."""
        scores = {image["id"]: 0.0 for image in self.truth.images}
        for row in self.rows:
            scores[row.image_id] = max(scores[row.image_id], row["suspicion"])
        return scores

    def suspects(self, correct_from: float = SUSPECT) -> list[Row]:
        """The rows of at least that suspicion; of two annotations that duplicate each other only
        the more suspicious one."""
        chosen, gone = [], set()
        for row in self.rows:
            if row["suspicion"] < correct_from:
                break
            if row["suspected"] == "duplicate":
                if self._neighbour_of(row) in gone:
                    continue
                gone.add(row["position"])
            chosen.append(row)
        return chosen

    def _neighbour_of(self, row):
        """The position of the annotation that overlaps a row's most."""
        at = self._at[row["position"]]
        return int(self.truth.position[self._evidence.neighbour[at]])

    def to_csv(self, path: PathLike) -> None:
        """Write the ranked table: one line a row, suspicion first."""
        write_audit_csv(self.rows, path)

    def corrections(self) -> list[Row]:
        """The rows whose correction is applied: likely enough to be right."""
        return [row for row in self.rows if row["applied"]]

    def to_coco(
        self, path: PathLike | None = None, correct_from: float | None = None
    ) -> dict[str, Any]:
        """The truth with the `corrections` made, as a COCO dict.

        correct_from: only those of at least that suspicion. Changed annotations say so
        (`boxloss_correction`, `boxloss_suspicion`, `boxloss_probability`, `boxloss_bbox`,
        `boxloss_category_id`); removed ones are listed in `boxloss_removed`. Written to `path` if
        given; ValueError if that is the truth or the detections themselves.
        """
        chosen = self.corrections()
        if correct_from is not None:
            chosen = [row for row in chosen if row["suspicion"] >= correct_from]
        source = self._source
        content = source.to_coco() if isinstance(source, DataSet) else source
        content = corrected(content, chosen)
        if path is not None:
            write_new(content, path, self._inputs)
        return content

    def to_html(
        self,
        folder: PathLike,
        worst: int | None = 200,
        loss: "str | BoxLoss | None" = "ciou",
        title: str = "Suspected label errors",
    ) -> pathlib.Path:
        """Write the explorer page of the `worst` rows; the path of its index.html.

        worst: None for all, but never more than a page holds (100,000).

        loss: fills the box errors and terms of the page; None leaves them out.
        """
        hidden = ("rank", "position")
        worst = min(MOST_ROWS, len(self.rows) if worst is None else worst)
        suspects = self.suspects()
        wrong = {id(row) for row in suspects}
        rows = [
            {name: value for name, value in row.items() if name not in hidden}
            | {"looks_wrong": id(row) in wrong}
            for row in self.rows[:worst]
        ]
        report = BoxReport.from_rows(
            rows,
            self._source,
            self._images,
            loss=loss,
            title=title,
            subtitle=f"{len(rows)} most suspicious of {len(self.rows)} · suspicion 3 means that "
            "1 in 1,000 ordinary boxes looks this wrong"
            + (
                "" if self._past is None else "; half the decades of the training history are added"
            ),
        )
        labels = sum(row.about == "truth" for row in suspects)
        report.audit = {
            "labels": len(self.truth),
            "wrong": labels,
            "places": len(suspects) - labels,
            "from": SUSPECT,
            "apply_from": self.apply_from,
        }
        return report.to_html(folder, sort="extra:suspicion")

    def __repr__(self) -> str:
        return f"LabelAudit({len(self.rows)} rows, {len(self.truth.images)} images)"


def _without_unseen(truth, unseen):
    """The truth with the boxes of those images ignored: nothing can be said about them."""
    return replace(truth, ignored=truth.ignored | np.isin(truth.image, unseen))


def at_least(detections, score_threshold):
    """The detections of at least that score; ValueError where none is left."""
    keep = detections.score >= score_threshold
    if not keep.any():
        best = f", the best at {detections.score.max():.3g}" if len(keep) else ""
        raise ValueError(
            f"`detections` must hold a detection with a score of at least {score_threshold:g}. "
            f"Received: {len(keep)} detections{best}"
        )
    fields = ("xywh", "image", "label", "score", "position")
    return replace(detections, **{name: getattr(detections, name)[keep] for name in fields})
