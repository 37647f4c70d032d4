"""Made truths with the detections of each, and what pycocotools finds in them."""

import contextlib
import copy
import io

import numpy as np


def scene(seed, images=12, crowds=True, area=None):
    """A COCO dict and results with many overlaps, equal scores and true boxes that stand twice."""
    rng = np.random.default_rng(seed)
    truth = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": number, "name": f"class {number}"} for number in (3, 7, 90)]
    results = []
    for image in range(1, images + 1):
        truth["images"].append(
            {"id": image * 5, "file_name": f"{image}.png", "width": 200, "height": 200}
        )
        for place in range(rng.integers(0, 9)):
            side = rng.integers(5, 110, 2)
            box = [*rng.integers(0, 90, 2), *side]
            twice = place > 0 and rng.random() < 0.25
            if twice:
                box = truth["annotations"][-1]["bbox"]
                side = np.array(box[2:])
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image * 5,
                    "category_id": truth["annotations"][-1]["category_id"]
                    if twice
                    else int(rng.choice([3, 7, 90])),
                    "bbox": [int(value) for value in box],
                    "area": int(side[0] * side[1]),
                    "iscrowd": int(crowds and rng.random() < 0.15),
                }
            )
            for _ in range(rng.integers(0, 4)):
                shift = rng.integers(-8, 9, 4) * rng.integers(0, 4)
                found = np.maximum(np.add(box, shift), 1)
                results.append(
                    {
                        "image_id": image * 5,
                        "category_id": int(rng.choice([3, 7, 90]))
                        if rng.random() < 0.2
                        else truth["annotations"][-1]["category_id"],
                        "bbox": [int(value) for value in found],
                        "score": float(np.round(rng.random(), 1)),  # ties on purpose
                    }
                )
    return truth, results


def pycocotools_evaluation(truth, results):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def one_image(boxes, predictions):
    """Truth and results of one image from (category, x, y, w, h) and the same with a score."""
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": box[0], "bbox": list(box[1:])}
            for i, box in enumerate(boxes)
        ],
    }
    results = [
        {"image_id": 1, "category_id": p[0], "bbox": list(p[1:5]), "score": p[5]}
        for p in predictions
    ]
    return truth, results
