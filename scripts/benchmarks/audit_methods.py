"""What ranks boxes by how wrong their labels look: boxloss, cleanlab, and simple rules."""

import importlib.metadata
import importlib.util
import time

import audit_loss_method
import numpy as np

from boxloss.evaluation import Detections, Truth
from boxloss.evaluation.grouping import groups
from boxloss.tensors.overlap import pairwise_iou

SURE = 0.25  # least confidence of a detection for 1 - IoU
FOUND = 0.5  # IoU from which on a detection is about a box
DELETED = ("missing", "drop")  # kinds that delete a box: what is ranked is detections
# The kinds of Schubert et al. that are altered as one of boxloss' kinds: its own score ranks them.
SAME_AS = {"flip": "swap", "shift_normal": "shift", "spawn": "spurious"}


def absent():
    """{method: reason} of those that cannot run here."""
    if importlib.util.find_spec("cleanlab") is None:
        return {"cleanlab": "not installed: pip install cleanlab"}
    return {}


class Trial:
    """One altered set: rankings of its boxes (or detections) and images, and the right answers."""

    def __init__(self, altered, detections, changes, kind, seed):
        self.altered, self.results, self.kind, self.seed = altered, detections, kind, seed
        self.truth = Truth.of(altered)
        self.detections = Detections.of(detections, self.truth)
        self.changes = changes
        self.unit = "detection" if kind in DELETED else "box"

    # Answers --------------------------------------------------------------------------------------

    def wanted(self, unit):
        """(bad, image, use): bool (k,), position of its image (k,), bool (k,) that count."""
        if unit == "image":
            number = {image["id"]: i for i, image in enumerate(self.truth.images)}
            bad = np.zeros(len(number), bool)
            bad[[number[change.image_id] for change in self.changes]] = True
            return bad, np.arange(len(number)), np.ones(len(number), bool)
        if unit == "detection":
            return self._wanted_detections()
        numbers = {change.annotation_id for change in self.changes}
        bad = np.array([number in numbers for number in self.truth.annotation_ids])
        return bad, self.truth.image, ~self.truth.ignored

    def _wanted_detections(self):
        """The best detection of each deleted box is wanted; its other ones neither count."""
        found = self.detections
        bad, use = np.zeros(len(found), bool), np.ones(len(found), bool)
        number = {image["id"]: i for i, image in enumerate(self.truth.images)}
        label = {number: i for i, number in enumerate(self.truth.category_ids)}
        for change in self.changes:
            same = (found.image == number[change.image_id]) & (
                found.label == label[change.before["category_id"]]
            )
            rows = np.flatnonzero(same)
            overlap = pairwise_iou(found.xywh[rows], np.array([change.before["bbox"]], "float64"))[
                :, 0
            ]
            rows = rows[overlap >= FOUND]
            use[rows] = False
            if len(rows):
                best = rows[found.score[rows].argmax()]
                bad[best] = use[best] = True
        return bad, found.image, use | bad

    # Rankings -------------------------------------------------------------------------------------

    def rankings(self, seconds):
        """(unit, method, values) of every method; appends what each took to `seconds`."""
        makers = [
            ("boxloss", self._boxloss),
            ("label loss", self._label_loss),
            ("1 - IoU", self._one_minus_iou),
            ("confidence", self._confidence),
            ("random", self._random),
        ]
        if not absent():
            makers.insert(1, ("cleanlab", self._cleanlab))
        for name, make in makers:
            started = time.perf_counter()
            made = make()
            seconds.setdefault(name, []).append(time.perf_counter() - started)
            for unit, method, values in made:
                yield unit, method, np.asarray(values, "float64")

    def _both(self, name, values):
        """The ranking of units, and of images by their worst unit."""
        image = self.detections.image if self.unit == "detection" else self.truth.image
        worst = np.full(len(self.truth.images), float(np.min(values, initial=0.0)))
        np.maximum.at(worst, image, values)
        return [(self.unit, name, values), ("image", name, worst)]

    def _boxloss(self):
        from boxloss.audit import LabelAudit

        audit = LabelAudit(self.altered, self.results, score_threshold=0.0)
        images = list(audit.image_scores().values())
        if self.unit == "detection":
            values = np.zeros(len(self.detections))
            values[audit.places] = audit.place_scores
            # Places tie at 0 decades where their surprise does: the values themselves go on.
            values[audit.places] += 1e-6 * audit.place_values
            return [("detection", "boxloss", values), ("image", "boxloss", images)]
        made = [("box", "boxloss", audit.suspicion), ("image", "boxloss", images)]
        kind = SAME_AS.get(self.kind, self.kind)
        if kind in audit.scores:
            made.append(("box", f"boxloss {kind}", audit.scores[kind]))
        return made

    def _label_loss(self):
        """The score of Schubert et al., see `audit_loss_method`."""
        losses = audit_loss_method.label_losses
        if self.unit == "detection":
            losses = audit_loss_method.detection_losses
        return self._both("label loss", losses(self.truth, self.detections))

    def _one_minus_iou(self):
        best = self._overlaps(self.detections.score > SURE)
        return self._both("1 - IoU", best)

    def _overlaps(self, sure):
        """1 - the largest IoU with the other side's boxes of the same class and image."""
        truth, found = self.truth, self.detections
        missing = self.unit == "detection"
        values = np.where(sure, 1.0, 0.0) if missing else np.ones(len(truth))
        true_groups = groups(truth.image, truth.label)
        for key, rows in groups(found.image, found.label).items():
            true = true_groups.get(key)
            if not missing:
                rows = rows[sure[rows]]
            if true is None or not len(rows):
                continue
            overlap = pairwise_iou(found.xywh[rows], truth.xywh[true])
            if missing:
                values[rows] = np.where(sure[rows], 1 - overlap.max(axis=1), 0.0)
            else:
                values[true] = 1 - overlap.max(axis=0)
        return values

    def _confidence(self):
        """A box: 1 - score of the best detection of its class and place. A detection: its score,
        0 where a box of its class is."""
        truth, found = self.truth, self.detections
        if self.unit == "detection":
            free = self._overlaps(np.ones(len(found), bool)) > 1 - FOUND
            return self._both("confidence", np.where(free, found.score, 0.0))
        values = np.ones(len(truth))
        true_groups = groups(truth.image, truth.label)
        for key, rows in groups(found.image, found.label).items():
            true = true_groups.get(key)
            if true is not None:
                near = pairwise_iou(found.xywh[rows], truth.xywh[true]) >= FOUND
                values[true] = 1 - np.where(near, found.score[rows][:, None], 0.0).max(axis=0)
        return self._both("confidence", values)

    def _random(self):
        rng = np.random.default_rng(self.seed + 10_000)
        count = len(self.detections) if self.unit == "detection" else len(self.truth)
        return self._both("random", rng.uniform(size=count))

    def _cleanlab(self):
        from cleanlab.object_detection import rank

        truth, found = self.truth, self.detections
        classes = len(truth.category_ids)
        labels, predictions, true_rows, found_rows = [], [], [], []
        for i in range(len(truth.images)):
            true = np.flatnonzero(truth.image == i)
            rows = [np.flatnonzero((found.image == i) & (found.label == c)) for c in range(classes)]
            true_rows.append(true)
            found_rows.append(np.concatenate(rows))
            labels.append(
                {"bboxes": truth.xyxy[true], "labels": truth.label[true], "image_name": str(i)}
            )
            image = np.empty(classes, object)
            for c, row in enumerate(rows):
                image[c] = np.column_stack([found.xyxy[row], found.score[row]]).astype("float32")
            predictions.append(image)
        given = {"labels": labels, "predictions": predictions}
        quality = rank.get_label_quality_scores(labels, predictions, verbose=False)
        made = [("image", "cleanlab", 1 - quality)]
        if self.unit == "detection":
            scores = rank.compute_overlooked_box_scores(**given)
            values = self._placed(scores, found_rows, len(found))
            return [*made, ("detection", "cleanlab overlooked", values)]
        for name in ("badloc", "swap"):
            scores = getattr(rank, f"compute_{name}_box_scores")(**given)
            made.append(("box", f"cleanlab {name}", self._placed(scores, true_rows, len(truth))))
        return made

    @staticmethod
    def _placed(scores, rows, count):
        """1 - quality, in our order; what has no score is not suspicious."""
        values = np.zeros(count)
        for score, row in zip(scores, rows, strict=True):
            values[row] = 1 - np.nan_to_num(np.asarray(score, "float64"), nan=1.0)[: len(row)]
        return values
