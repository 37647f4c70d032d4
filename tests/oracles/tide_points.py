"""Points of AP50 lost per kind of error, by tidecv 1.0.1: the numbers in tests/test_points.py.

tidecv is of 2020 and pulls opencv-python and seaborn, so it gets an environment of its own:

    python3 -m venv /tmp/tide
    /tmp/tide/bin/pip install --no-deps tidecv==1.0.1
    /tmp/tide/bin/pip install numpy appdirs pycocotools opencv-python-headless pandas seaborn
    /tmp/tide/bin/python tests/oracles/tide_points.py                       # the scene of the test
    /tmp/tide/bin/python tests/oracles/tide_points.py TRUTH.json RESULTS.json
"""

import json
import sys

import numpy as np


def all_kinds(seed=3, images=30, boxes=9):
    """(truth, results): COCO dicts of a scene with errors of every kind, several times each."""
    rng = np.random.default_rng(seed)
    categories = [{"id": 10 * (i + 1), "name": name} for i, name in enumerate("abcd")]
    truth = {"images": [], "annotations": [], "categories": categories}
    results = []
    for i in range(images):
        truth["images"].append({"id": i, "file_name": f"{i}.png", "width": 400, "height": 300})
        for place in range(boxes):
            x, y = 130.0 * (place % 3) + rng.uniform(0, 20), 95.0 * (place // 3) + rng.uniform(0, 9)
            w, h = rng.uniform(40, 90), rng.uniform(40, 70)
            label = int(rng.integers(4))
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": i,
                    "category_id": categories[label]["id"],
                    "bbox": [x, y, w, h],
                }
            )
            # ok, dupe, loc, cls, both, bkg, miss in shares that are not equal
            kind = rng.choice(7, p=[0.5, 0.1, 0.12, 0.1, 0.06, 0.06, 0.06])
            found = [x + rng.normal(0, 2), y + rng.normal(0, 2), w, h]
            other = categories[(label + 1) % 4]["id"]
            far = [x + 0.55 * w, y + 0.1 * h, w, h]
            right = categories[label]["id"]
            made = {
                0: [(found, right)],
                1: [(found, right), ([x + 1, y + 1, w, h], right)],
                2: [(far, right), ([x, y + 0.6 * h, w, h], right)],
                3: [(found, other), ([x + 3, y + 2, w, h], categories[(label + 2) % 4]["id"])],
                4: [(far, other)],
                5: [([x + 1.5 * w, y + 1.4 * h, 0.2 * w, 0.2 * h], right)],
                6: [],
            }[int(kind)]
            for box, category in made:
                score = round(float(rng.uniform(0.05, 1)), 6)
                results.append(
                    {"image_id": i, "category_id": category, "bbox": box, "score": score}
                )
    return truth, results


def tide_points(truth, results):
    """{"AP50" and tidecv's short names: points}, with its own limit of 100 per image."""
    from tidecv import TIDE, Data

    gt, found = Data("gt"), Data("found")
    for image in truth["images"]:
        for data in (gt, found):
            data.add_image(image["id"], image["file_name"])
    for category in truth["categories"]:
        gt.add_class(category["id"], category["name"])
    for box in truth["annotations"]:
        gt.add_ground_truth(box["image_id"], box["category_id"], box["bbox"])
    for row in results:
        found.add_detection(row["image_id"], row["category_id"], row["score"], row["bbox"])
    tide = TIDE()
    run = tide.evaluate(gt, found, mode=TIDE.BOX)
    return {"AP50": run.ap, **tide.get_main_errors()["found"]}


def main():
    if len(sys.argv) == 3:
        truth, results = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
    else:
        truth, results = all_kinds()
    points = tide_points(truth, results)
    print(json.dumps({name: round(value, 4) for name, value in points.items()}))


if __name__ == "__main__":
    main()
