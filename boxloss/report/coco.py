"""Reports from COCO truth and results, and a report as a COCO dict."""

from typing import TYPE_CHECKING, NamedTuple

from boxloss import evaluation
from boxloss.datasets import DataSet, read_image
from boxloss.evaluation.matching import Matches, match
from boxloss.evaluation.opened import open_truth
from boxloss.evaluation.row import Row
from boxloss.evaluation.table import best_threshold, box_loss, measure
from boxloss.files import existing_folder, inside

if TYPE_CHECKING:
    from boxloss.losses import BoxLoss


class Source(NamedTuple):
    """What a report was made from: all detections, also those below its threshold.

    matches: at the report's IoU. Matching a million boxes takes longer than most of what follows.
    """

    truth: evaluation.Truth
    detections: evaluation.Detections
    loss: "BoxLoss | None"
    matches: Matches


def report_of_coco(
    truth, detections, images, loss, iou_threshold, score_threshold, pairing, part=None
):
    """The parts of a BoxReport; arguments as `BoxReport.from_coco` says."""
    opened = open_truth(truth, images, part=part)
    pictures, truth = pictures_of(opened.source, images), opened.truth
    detections = evaluation.Detections.of(detections, truth, **pairing)
    dropped = {**opened.dropped, "detections": sum(detections.unknown.values())}
    matches = match(truth, detections, iou_threshold)
    if score_threshold is None:
        score_threshold = best_threshold(truth, detections, matches)
    loss = None if loss is None else box_loss(loss)
    rows = evaluation.error_rows(truth, detections, loss, iou_threshold, score_threshold, matches)
    parts = _parts(rows, truth, pictures, loss, score_threshold)
    return parts | {
        "problems": [str(problem) for problem in opened.problems],
        "dropped": dropped,
        "pairing": detections.pairing(),
        "told": detections.told(truth),
        "source": Source(truth, detections, loss, matches),
    }


def report_of_rows(rows, truth, images, loss):
    """The parts of a BoxReport; arguments as `BoxReport.from_rows` says."""
    pictures = pictures_of(truth, images)
    truth = evaluation.Truth.of(truth)
    # Copies, because `measure` writes into them.
    rows = [Row.of(dict(row)) for row in rows]
    loss = None if loss is None else box_loss(loss)
    measure(rows, loss)
    return _parts(rows, truth, pictures, loss, None)


def _parts(rows, truth, pictures, loss, score_threshold):
    return {
        "rows": rows,
        "images": sized_images(truth.images, rows, pictures),
        "pictures": pictures,
        "class_names": truth.class_names,
        "category_ids": truth.category_ids,
        "loss": getattr(loss, "name", None),
        "score_threshold": score_threshold,
    }


def pictures_of(truth, images):
    """A function from an image's position to its picture, None where it cannot be read."""
    if isinstance(truth, DataSet):
        return PictureFiles(lambda i: truth.records[i].path)
    if images is None or not isinstance(truth, dict):
        return lambda i: None
    existing_folder("images", images)
    names = [image.get("file_name") for image in truth["images"]]
    return PictureFiles(lambda i: inside(images, names[i]))


class PictureFiles:
    """The picture at a position, None where it is not there, not readable or outside its folder.

    path_of: a function from position to path; it may raise ValueError, OSError or TypeError.
    """

    def __init__(self, path_of):
        self.path_of = path_of

    def __call__(self, i):
        try:
            return read_image(self.path_of(i))
        except (ValueError, OSError, TypeError):
            return None


def sized_images(images, rows, pictures):
    """The images with width and height: as given, else the picture's, else around the boxes."""
    far = {}
    for row in rows:
        for box in (row.truth, row.prediction):
            if box is not None and None not in box[2:]:
                x, y = far.get(row.image_id, (1, 1))
                far[row.image_id] = (max(x, box[2]), max(y, box[3]))
    sized = []
    for i, image in enumerate(images):
        size = image["width"], image["height"]
        if not all(isinstance(side, (int, float)) and 0 < side < 2**20 for side in size):
            picture = pictures(i)
            size = far.get(image["id"], (1, 1)) if picture is None else picture.shape[1::-1]
        width, height = (max(1, int(side)) for side in size)
        sized.append({**image, "width": width, "height": height})
    return sized


def coco_of_report(report):
    """See `BoxReport.to_coco`."""
    category_of = dict(zip(report.class_names, report.category_ids, strict=True))
    annotations, predictions = [], []
    for row in report.rows:
        own = row.about == "truth"
        x1, y1, x2, y2 = row.truth if own else row.prediction
        bbox = [x1, y1, x2 - x1, y2 - y1]
        entry = {
            "image_id": row.image_id,
            "category_id": category_of[row.class_name],
            "bbox": bbox,
            **_numbers(row),
        }
        if own:
            area = bbox[2] * bbox[3]
            annotations.append({"id": row.annotation_id, **entry, "area": area, "iscrowd": 0})
        else:
            predictions.append({**entry, "score": row.score})
    return {
        "images": [dict(image) for image in report.images],
        "categories": [{"id": number, "name": name} for name, number in category_of.items()],
        "annotations": annotations,
        "predictions": predictions,
    }


def _numbers(row):
    skip = ("row", "image_id", "file_name", "annotation_id", "class")
    return {
        f"boxloss_{name}": value
        for name, value in row.items()
        if name not in skip and value is not None and not name.startswith("truth_")
    }
