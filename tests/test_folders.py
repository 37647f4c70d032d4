"""Training on folders as people have them: a VOC folder of many sizes, one data set in two formats.

These runs take minutes: `make test-slow`.
"""

import csv
import json

import cv2
import numpy as np
import pytest

from boxloss import cli, datasets, training
from boxloss.training import Options


def draw_disc(rng, image):
    """One disc with a bright rim on the image; its box."""
    height, width = image.shape[:2]
    radius = int(rng.uniform(0.06, 0.2) * min(height, width))
    x, y = rng.integers(radius, width - radius), rng.integers(radius, height - radius)
    color = [int(c) for c in rng.integers(0, 120, 3)]
    cv2.circle(image, (int(x), int(y)), radius, color, -1)
    cv2.circle(image, (int(x), int(y)), radius, (230, 230, 230), max(1, radius // 6))
    return x - radius, y - radius, x + radius, y + radius


def write_voc(folder, count, seed):
    """`count` images of 150 to 1,600 pixels per side with one to four discs each, as Pascal VOC."""
    rng = np.random.default_rng(seed)
    for name in ("JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        height, width = rng.integers(150, 1601, 2)
        coarse = rng.integers(100, 200, (4, 5, 3)).astype("uint8")
        image = cv2.resize(coarse, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
        boxes = [draw_disc(rng, image) for _ in range(rng.integers(1, 5))]
        cv2.imwrite(str(folder / "JPEGImages" / f"{i:03d}.jpg"), image)
        objects = "".join(
            f"<object><name>disc</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax>"
            f"<ymax>{y2}</ymax></bndbox></object>"
            for x1, y1, x2, y2 in boxes
        )
        (folder / "Annotations" / f"{i:03d}.xml").write_text(
            f"<annotation><filename>{i:03d}.jpg</filename><size><width>{width}</width>"
            f"<height>{height}</height><depth>3</depth></size>{objects}</annotation>"
        )


@pytest.mark.slow(100)
def test_a_voc_folder_of_many_sizes_trains_with_the_paths_and_few_epochs(tmp_path, capsys):
    write_voc(tmp_path, 60, seed=11)
    words = ("--images", tmp_path / "JPEGImages", "--annotations", tmp_path / "Annotations")
    # The recipe would take 58 epochs; AP50 is 0.9 after six.
    words = (*map(str, words), "--epochs", "6", "--out", str(tmp_path / "run"))
    status = cli.main(["train", *words])
    printed, _ = capsys.readouterr()
    assert status == 0
    metrics = json.loads(printed)
    print(metrics)
    assert metrics["AP50"] >= 0.5


@pytest.mark.slow(60)
def test_bccd_from_coco_and_from_voc_has_equal_losses(bccd, tmp_path):
    losses = []
    for annotations in ("{}.json", "voc/{}"):
        sets = [
            datasets.load(bccd / part, bccd / annotations.format(part)) for part in ("train", "val")
        ]
        out = tmp_path / annotations[:3].strip("{}.")
        options = Options(image_size=160, epochs=1, seed=3, deterministic=True)
        training.train(*sets, options, out, verbose=0)
        with open(out / "image_losses.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        losses.append({row["file_name"]: float(row["loss"]) for row in rows})
    assert len(losses[0]) == 205
    assert losses[0] == losses[1]
