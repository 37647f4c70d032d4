"""COCO's metrics, by faster-coco-eval."""

from typing import NamedTuple

import numpy as np

from boxloss.evaluation.detections import Detections, DetectionsLike
from boxloss.evaluation.grouping import groups
from boxloss.evaluation.matching import COCO_LIMIT
from boxloss.evaluation.truth import Truth, TruthLike

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
PLACES = (0, 1, 2, 3, 4, 5, 8)  # in COCO's list of twelve


def coco_metrics(truth: TruthLike, detections: DetectionsLike) -> dict[str, float | None]:
    """{"AP", "AP50", "AP75", "APs", "APm", "APl", "AR100"}: floats in [0, 1], as pycocotools.

    truth: DataSet, COCO dict or path; detections: list of COCO results, or path. A metric without
    any true box (no small boxes, say) is None. Boxes marked `ignore` are skipped as crowds are:
    finding one is neither right nor wrong; pycocotools reads that mark and does not use it. Boxes
    that a DataSet dropped for their size or place count as not found, as pycocotools counts them.
    Only the 100 most confident detections of each image and class count, as in COCO's rules: where
    an image holds more boxes of one class (see `crowded`), even perfect detections stay below 1.
    """
    truth = Truth.of(truth)
    detections = Detections.of(detections, truth)
    counted = ~truth.ignored
    if not counted.any():
        return dict.fromkeys(NAMES)
    return _named(_evaluator(truth, detections).stats)


class Details(NamedTuple):
    """COCO's metrics, divided.

    metrics: as `coco_metrics`. classes, sizes: {"AP": list, "AP50": list} by class (in the order of
    the truth) and by small, medium, large; None where there is no true box. curves: for each class
    the precision at the 101 recalls 0, 0.01, ... 1 at IoU 0.5, or None.
    """

    metrics: dict[str, float | None]
    classes: dict[str, list[float | None]]
    sizes: dict[str, list[float | None]]
    curves: list[list[float] | None]


def coco_details(truth: Truth, detections: Detections) -> Details:
    """The metrics by class and by size, and the precision-recall curves, from one evaluation."""
    names = len(truth.class_names)
    if truth.ignored.all():
        return Details(dict.fromkeys(NAMES), _nothing(names), _nothing(3), [None] * names)
    evaluator = _evaluator(truth, detections)
    # IoU thresholds, recalls, classes, areas (all, small, medium, large); the most detections.
    precision = np.asarray(evaluator.eval["precision"])[..., -1]
    by_class = [precision[:, :, label, 0] for label in range(names)]
    by_size = [precision[..., 1 + size] for size in range(3)]
    return Details(
        _named(evaluator.stats),
        {"AP": [_mean(p) for p in by_class], "AP50": [_mean(p[0]) for p in by_class]},
        {"AP": [_mean(p) for p in by_size], "AP50": [_mean(p[0]) for p in by_size]},
        [None if (p[0] < 0).any() else p[0].tolist() for p in by_class],
    )


def _nothing(count: int) -> dict[str, list[float | None]]:
    return {"AP": [None] * count, "AP50": [None] * count}


def _named(stats):
    """{name: value} of COCO's list of twelve, None for its -1."""
    return {
        name: None if stats[place] < 0 else float(stats[place])
        for name, place in zip(NAMES, PLACES, strict=True)
    }


def _mean(precision):
    """The mean where there are true boxes; COCO's evaluator writes -1 where there are none."""
    precision = precision[precision >= 0]
    return float(precision.mean()) if precision.size else None


def crowded(truth: Truth) -> dict[str, int]:
    """{"images": count, "boxes": count}: images with more boxes of a class than COCO's limit of
    detections, and how many boxes are beyond it."""
    counted = np.flatnonzero(~truth.ignored)
    sizes = {
        key: len(rows) for key, rows in groups(truth.image[counted], truth.label[counted]).items()
    }
    beyond = {key: size - COCO_LIMIT for key, size in sizes.items() if size > COCO_LIMIT}
    return {"images": len({image for image, _ in beyond}), "boxes": sum(beyond.values())}


def crowded_lines(truth: Truth) -> list[str]:
    """A line for people where COCO's limit matters, none where it does not."""
    found = crowded(truth)
    if not found["images"]:
        return []
    return [
        f"COCO's metrics count {COCO_LIMIT} detections per image and class: {found['boxes']} boxes "
        f"in {found['images']} crowded images are beyond it and lower AP; the table counts all"
    ]


def _evaluator(truth, detections):
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise ValueError(
            "faster-coco-eval must be installed for COCO metrics: pip install faster-coco-eval. "
            "Received: no module named faster_coco_eval"
        ) from None
    # Ids of our own: the evaluator sorts them and keeps them as integers, ours may be text.
    true = COCO(
        {
            "images": [{"id": i + 1} for i in range(len(truth.images))],
            "categories": [{"id": i + 1, "name": str(i)} for i in range(len(truth.category_ids))],
            "annotations": [
                {
                    "id": i + 1,
                    "image_id": int(truth.image[i]) + 1,
                    "category_id": int(truth.label[i]) + 1,
                    "bbox": truth.xywh[i].tolist(),
                    # An area below every range is how COCO's rule spells "ignored, not a crowd".
                    "area": -1.0 if truth.ignored[i] else float(truth.area[i]),
                    "iscrowd": int(truth.iscrowd[i]),
                }
                for i in range(len(truth))
            ]
            + [
                {
                    "id": len(truth) + i + 1,
                    "image_id": image + 1,
                    "category_id": label + 1,
                    "bbox": [0.0, 0.0, 0.0, 0.0],
                    "area": area,
                    "iscrowd": 0,
                }
                for i, (image, label, area) in enumerate(truth.unfindable)
            ],
        }
    )
    found = true.loadRes(
        [
            {
                "image_id": int(detections.image[i]) + 1,
                "category_id": int(detections.label[i]) + 1,
                "bbox": detections.xywh[i].tolist(),
                "score": float(detections.score[i]),
            }
            for i in range(len(detections))
        ]
    )
    evaluator = COCOeval_faster(true, found, "bbox", print_function=_silent)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def _silent(*_):
    """faster-coco-eval reports its progress through a function."""
