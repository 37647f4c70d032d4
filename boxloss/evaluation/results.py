"""Predictions of a model as COCO results: the list of dicts that every evaluation reads."""

import sys
from collections.abc import Callable, Sequence

from boxloss import datasets
from boxloss.files import tracked
from boxloss.types import Entry, Found


def coco_results(
    dataset: datasets.DataSet, predict: Callable[[list], list[Found]], chunk: int = 16
) -> list[Entry]:
    """COCO's results list: the detections of `predict(images)` in every image of `dataset`.

    An image that cannot be read has no detections; a line on stderr names it.
    """
    results = []
    for start in tracked(range(0, len(dataset.records), chunk), "batches of images"):
        records, images = [], []
        for record in dataset.records[start : start + chunk]:
            try:
                images.append(datasets.read_image(record.path))
                records.append(record)
            except (ValueError, OSError) as error:
                print(f"{error} (counts as an image without detections)", file=sys.stderr)
        for record, found in zip(records, predict(images) if images else [], strict=True):
            results += as_results(
                record.image_id, found, dataset.category_ids, dataset.class_names, record.file_name
            )
    return results


def as_results(
    image_id: int | str,
    found: Found,
    category_ids: Sequence[int | str],
    class_names: Sequence[str] | None = None,
    file_name: str | None = None,
) -> list[Entry]:
    """The detections of one image as COCO results: xywh in pixels of the image.

    class_names, file_name: added to each result where given, so that they are understood beside a
    truth with other ids, too.
    """
    results = []
    named = {} if file_name is None else {"file_name": file_name}
    for box, label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True):
        x1, y1, x2, y2 = (float(side) for side in box)
        results.append(
            {
                "image_id": image_id,
                "category_id": category_ids[int(label)],
                **named,
                **({} if class_names is None else {"category_name": class_names[int(label)]}),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": float(score),
            }
        )
    return results
