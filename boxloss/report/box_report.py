"""BoxReport: what is wrong with each box, from arrays, from any detector, or from a run."""

import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from boxloss import evaluation
from boxloss.evaluation.detections import DetectionsLike
from boxloss.evaluation.objects import coco_of_objects
from boxloss.evaluation.row import Row
from boxloss.evaluation.truth import TruthLike
from boxloss.files import write_atomically
from boxloss.report import coco, labels, run
from boxloss.report.page import write_page
from boxloss.types import ArrayLike, Entry, PathLike, Pictures

if TYPE_CHECKING:
    from boxloss.losses import BoxLoss


class BoxReport:
    """One row a true box and one a false prediction; see `evaluation.error_table`.

        BoxReport(images, y_true, y_pred, mask)            # arrays: box j of image i is known
        BoxReport.from_coco(truth, detections, images)     # any detector's results
        BoxReport.from_run(folder)                         # what training left

    Args:
        images: uint8 or float arrays (B, H, W, 3) or a list of such, a list of paths, or None for a
            report without pictures.
        y_true, y_pred: boxes (B, N, 4) in the loss's format; row j of image i belong together.
            Relative formats need images or the loss's `image_shape`.
        mask: bool (B, N), True = real; rows of `y_true` that are all -1 are padding in any case.
        loss: a name or a Loss of kind "box". The report's box errors and terms are those of
            `loss.tensors(y_true, y_pred, mask=mask)`.
        labels, predicted_labels: int (B, N), positions in `class_names`. scores: (B, N).
        class_names: list of names. file_names: B names to show; never opened.
        iou_threshold: from here on a box counts as found.

    Attributes: rows (list of `evaluation.Row`, which are read and written as dicts too), images
    (list of dicts id, file_name, width, height), class_names, category_ids, loss (its name), title;
    dropped (how many images, boxes and detections were given and are not in it), problems (one line
    per broken image or box), pairing (how results were paired with the truth, and how many were
    not; None for arrays) and told (the same as lines for people).
    """

    def __init__(
        self,
        images: Pictures | None,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        loss: "str | BoxLoss | None" = "ciou",
        labels: ArrayLike | None = None,
        predicted_labels: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        file_names: Sequence[str] | None = None,
        iou_threshold: float = 0.5,
        title: str = "Box errors",
    ) -> None:
        # Keras takes seconds to import: only where box errors are computed.
        from boxloss.report import arrays

        made = arrays.report_of_arrays(
            images,
            y_true,
            y_pred,
            mask,
            loss=loss,
            labels=labels,
            predicted_labels=predicted_labels,
            scores=scores,
            class_names=class_names,
            file_names=file_names,
            iou_threshold=iou_threshold,
        )
        self._fill(title=title, iou_threshold=iou_threshold, score_threshold=None, **made)

    def _fill(
        self,
        rows,
        images,
        pictures,
        class_names,
        category_ids,
        loss,
        title,
        iou_threshold,
        score_threshold,
        problems=(),
        dropped=None,
        pairing=None,
        told=(),
        source=None,
    ):
        self.rows, self.images, self._pictures = rows, images, pictures
        self.class_names, self.category_ids = list(class_names), list(category_ids)
        self.loss, self.title = loss, title
        self.iou_threshold, self.score_threshold = iou_threshold, score_threshold
        self.problems, self.dropped = list(problems), {"images": 0, "boxes": 0, "detections": 0}
        self.dropped |= dropped or {}
        self.pairing, self.told = pairing, list(told)
        self.heading = None
        self.audit = None  # of a whole audit: {"labels", "wrong", "places", "from", "apply_from"}
        self.labels = None  # what `add_labels` added, by box and by detection
        self.source = source  # all detections, where they are known: a `coco.Source`

    @classmethod
    def _of(cls, **parts):
        report = cls.__new__(cls)
        report._fill(**parts)
        return report

    @classmethod
    def from_coco(
        cls,
        truth: TruthLike,
        detections: DetectionsLike,
        images: PathLike | None = None,
        *,
        loss: "str | BoxLoss | None" = "ciou",
        iou_threshold: float = 0.5,
        score_threshold: float | None = None,
        title: str = "Box errors",
        pair_images: str | None = None,
        pair_classes: str | None = None,
        class_names: Sequence[str] | None = None,
        part: str | None = None,
    ) -> "BoxReport":
        """From truth and the results of any detector.

        truth: a DataSet, a COCO dict or the path of a COCO file; with `images` also a folder of VOC
            files, a YOLO data.yaml or its folder.
        detections: COCO results as a list or a file, Ultralytics' predictions.json, or a folder of
            YOLO result files with confidences.
        images: the image folder; None where the truth is a DataSet, or for no pictures. With a path
            as truth, broken annotations are dropped as `datasets.load` does, and images that are
            not there.
        score_threshold: None takes the score with the best F1.
        pair_images, pair_classes, class_names: how the results name images and classes, see
            `evaluation.Detections.of`; None takes what fits, and raises ValueError where two
            readings do. Detections of unknown images and classes are dropped and counted.
        part: "train", "val" or "test" of a data.yaml or data set root, instead of `images`.
        """
        return cls._of(
            title=title,
            iou_threshold=iou_threshold,
            **coco.report_of_coco(
                truth,
                detections,
                images,
                loss,
                iou_threshold,
                score_threshold,
                {
                    "pair_images": pair_images,
                    "pair_classes": pair_classes,
                    "class_names": class_names,
                },
                part,
            ),
        )

    @classmethod
    def from_detections(
        cls,
        truth: Any,
        detections: Any,
        images: PathLike | None = None,
        *,
        class_names: Sequence[str] | None = None,
        loss: "str | BoxLoss | None" = "ciou",
        iou_threshold: float = 0.5,
        score_threshold: float | None = None,
        title: str = "Box errors",
    ) -> "BoxReport":
        """From truth and detections that a program holds; no other library is imported.

        truth, detections: {file name: boxes of that image}, a list in one order of images, or a
            pandas table with one row per box (columns file_name, x1, y1, x2, y2, class, score).
            The boxes of an image are a supervision.Detections, or a dict of arrays or tensors with
            boxes (n, 4) xyxy in pixels, labels and, for detections, scores, as torchvision has.
        images: the folder of the files, for pictures. class_names: names of labels 0, 1, ....
        Other arguments as in `from_coco`.
        """
        content, results = coco_of_objects(truth, detections, class_names)
        return cls.from_coco(
            content,
            results,
            images,
            loss=loss,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            title=title,
            pair_images="id",
            pair_classes="id",
        )

    @classmethod
    def from_run(
        cls, folder: PathLike, images: PathLike | None = None, title: str | None = None
    ) -> "BoxReport":
        """From a run folder: its boxes.csv, and its config.json for the place of the images.

        images: the image folder, where it is not the one that the run was given.
        """
        return cls._of(**run.report_of_run(pathlib.Path(folder), images, title))

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Row | Mapping[str, Any]],
        truth: TruthLike,
        images: PathLike | None = None,
        *,
        loss: "str | BoxLoss | None" = "ciou",
        title: str = "Box errors",
        subtitle: str | None = None,
    ) -> "BoxReport":
        """From rows with the keys of `evaluation.error_table` and more, such as those of an audit.

        truth: DataSet, COCO dict or path that the rows are about. loss: measures box errors and
        terms anew; None leaves the rows as they are. subtitle: the line under the page's heading.
        """
        report = cls._of(
            title=title, iou_threshold=0.5, **coco.report_of_rows(rows, truth, images, loss)
        )
        report.heading = subtitle
        return report

    def add_history(self, history: PathLike) -> int:
        """Add how each box fared in training: columns history_mean_error, history_forgotten, ...

        history: a run folder, or its box_history.csv. Boxes are known by image and annotation id.
        Returns how many of them the run had seen; 0 where it was trained on other images.
        """
        return evaluation.add_history(self.rows, evaluation.read_box_history(history))

    @property
    def rows(self) -> list[Row]:
        return self._rows

    @rows.setter
    def rows(self, rows: Iterable[Row | Mapping[str, Any]]) -> None:
        self._rows = [Row.of(row) for row in rows]

    def add_labels(self, suspects: list[Row]) -> int:
        """Add which labels look wrong: the page's tab Labels shows them with their corrections.

        suspects: rows of an audit of the same truth and detections, such as
        `LabelAudit(...).suspects()`. Boxes are known by image and annotation, missing labels by
        their detection. Returns how many are on the page.
        """
        return labels.add_labels(self, suspects)

    # What it gives --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.rows)

    def table(self) -> list[Entry]:
        """A copy of the rows, as plain dicts."""
        return [dict(row) for row in self.rows]

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        kinds = [row.kind for row in self.rows]
        return {kind: kinds.count(kind) for kind in evaluation.KINDS}

    def subtitle(self) -> str:
        if self.heading is not None:
            return self.heading
        counts = self.counts()
        parts = [f"loss {self.loss}", f"found from IoU {self.iou_threshold:g}"]
        if self.score_threshold is not None:
            parts.append(f"confidence from {self.score_threshold:.3g}")
        parts.append(", ".join(f"{n} {kind}" for kind, n in counts.items() if n))
        dropped = ", ".join(f"{n} {what}" for what, n in self.dropped.items() if n)
        parts.append(f"dropped: {dropped}" if dropped else "")
        return " · ".join(part for part in parts if part)

    def picture(self, i: int) -> np.ndarray | None:
        """Image i as uint8 (H, W, 3) RGB, or None where there is none that can be read."""
        return self._pictures(i)

    def picture_state(self, i: int) -> tuple[str, int, int] | None:
        """(path, size in bytes, time of change) of image i's file; None where there is none."""
        path_of = getattr(self._pictures, "path_of", None)
        try:
            path = None if path_of is None else path_of(i)
            found = None if path is None else os.stat(path)
        except (ValueError, OSError, TypeError):
            return None
        return None if found is None else (str(path), found.st_size, found.st_mtime_ns)

    def to_csv(self, path: PathLike) -> None:
        """Write boxes.csv."""
        evaluation.write_boxes_csv(self.rows, path)

    def to_coco(self, path: PathLike | None = None) -> dict[str, Any]:
        """A COCO dict whose annotations carry the report's numbers as `boxloss_*` keys.

        FiftyOne keeps such keys (`add_coco_labels(..., extra_attrs=True)`). False predictions are
        in the list "predictions", as COCO results with the same keys. Written to `path` if given.
        """
        content = coco.coco_of_report(self)
        if path is not None:
            with write_atomically(path) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
        return content

    def to_html(
        self,
        folder: PathLike,
        compare: "BoxReport | None" = None,
        worst: int | None = None,
        sort: str | None = None,
    ) -> pathlib.Path:
        """Write the explorer page to `folder`; returns the path of its index.html.

        folder: a new one or that of an earlier page, whose pictures go; ValueError where pictures
        of somebody else are in its images/ or crops/. compare: another BoxReport on the same images
        (which boxes got worse?). worst: only that many rows get pictures, the largest errors first.
        sort: the column sorted by at first ("error", "iou", "worst", or "extra:NAME" for a column
        of numbers added to `rows`).
        """
        return write_page(self, folder, compare=compare, worst=worst, sort=sort)

    def __repr__(self) -> str:
        return f"BoxReport({len(self.rows)} rows, {len(self.images)} images, loss={self.loss!r})"
