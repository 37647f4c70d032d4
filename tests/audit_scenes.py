"""Made scenes for the label audit: labels, what a detector found, errors planted in the labels."""

import json

import numpy as np

from boxloss import evaluation
from boxloss.audit.evidence import gather

HOSTILE = "<img src=x onerror=alert(1)>"


def coco(annotations, images=2):
    """annotations: (image, category, x, y, w, h)."""
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": 400, "height": 300} for i in range(images)
        ],
        "categories": [{"id": 3, "name": HOSTILE}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"id": 10 + i, "image_id": image, "category_id": category, "bbox": list(box)}
            for i, (image, category, *box) in enumerate(annotations)
        ],
    }


def results(entries):
    """entries: (image, category, score, x, y, w, h)."""
    return [
        {"image_id": image, "category_id": category, "score": score, "bbox": list(box)}
        for image, category, score, *box in entries
    ]


def scene(seed=0, images=30):
    """(truth, results): 12 boxes per image in a grid, seen by a detector that errs by about 3 %."""
    rng = np.random.default_rng(seed)
    annotations, found = [], []
    for image in range(images):
        for cell in range(12):
            width, height = rng.uniform(35, 60, 2)
            x, y = 100 * (cell % 4) + rng.uniform(5, 30), 100 * (cell // 4) + rng.uniform(5, 30)
            category = int(rng.choice([3, 1]))
            annotations.append((image, category, x, y, width, height))
            if rng.uniform() < 0.01:
                continue
            x1, y1, x2, y2 = rng.normal(0, 0.03, 4) * (width, height, width, height)
            box = (x + x1, y + y1, width + x2 - x1, height + y2 - y1)
            found.append((image, category, rng.uniform(0.6, 0.95), *box))
            found.append((image, 4 - category, rng.uniform(0.05, 0.1), *box))
        weak = (*rng.uniform(0, 250, 2), *rng.uniform(20, 60, 2))
        found.append((image, 3, rng.uniform(0.05, 0.3), *weak))
    return coco(annotations, images), results(found)


def alter(entry, kind):
    """The annotation with an error of that kind, without boxloss.noise."""
    x, y, w, h = entry["bbox"]
    if kind == "swap":
        return {**entry, "category_id": 4 - entry["category_id"]}
    boxes = {
        "shift": [x + 0.3 * w, y - 0.25 * h, w, h],
        "resize": [x + 0.2 * w, y + 0.2 * h, 0.6 * w, 0.6 * h],
        "edge": [x, y - 0.35 * h, w, 1.35 * h],
    }
    return {**entry, "bbox": boxes[kind]}


def planted(kind, seed=0):
    """(truth with 12 errors of a kind, results, ids of the altered annotations)."""
    truth, found = scene(seed)
    seen = {(d["image_id"], round(d["bbox"][0] / 100), round(d["bbox"][1] / 100)) for d in found}
    entries = truth["annotations"]
    places = [
        i
        for i, e in enumerate(entries)
        if (e["image_id"], round(e["bbox"][0] / 100), round(e["bbox"][1] / 100)) in seen
    ]
    chosen = np.random.default_rng(seed + 50).permutation(places)[:12].tolist()
    if kind == "missing":
        gone = [entries[i] for i in chosen]
        truth["annotations"] = [e for e in entries if e not in gone]
        return truth, found, [(e["image_id"], *e["bbox"]) for e in gone]
    if kind in ("spurious", "duplicate"):
        new = []
        for number, i in enumerate(chosen):
            x, y, w, h = entries[i]["bbox"]
            # Between the cells there is nothing; upon the box there is its own detection.
            box = [x + 1, y + 2, w - 2, h + 1] if kind == "duplicate" else [x + 55, y + 55, 30, 25]
            new.append({**entries[i], "id": 9000 + number, "bbox": box})
        truth["annotations"] = entries + new
        return truth, found, [e["id"] for e in new]
    for i in chosen:
        entries[i] = alter(entries[i], kind)
    return truth, found, [entries[i]["id"] for i in chosen]


def evidence_of(truth, found):
    truth = evaluation.Truth.of(truth)
    return gather(truth, evaluation.Detections.of(found, truth))


def written(folder, truth, found, pictures=0):
    folder.mkdir()
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "dt.json").write_text(json.dumps(found))
    (folder / "photos").mkdir()
    for i in range(pictures):
        import cv2

        cv2.imwrite(str(folder / "photos" / f"{i}.png"), np.full((300, 400, 3), 90, "uint8"))
    return folder
