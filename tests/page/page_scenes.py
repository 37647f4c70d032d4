"""Reports and pages that the tests open, and what they read in them."""

import csv
import io
import os
import shutil

import numpy as np

from boxloss import evaluation
from boxloss.audit import LabelAudit
from boxloss.datasets import noise
from boxloss.report import BoxReport

HOSTILE_FILE = "<img src=x onerror=alert(1)>.png"
HOSTILE_CLASS = "</script><script>alert(1)</script>"
CLASSES = ["cat", HOSTILE_CLASS, "dog"]
CHROMIUM = os.environ.get("BOXLOSS_CHROMIUM") or shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run")


def scene(folder, seed=0, images=12, boxes=8, shift=6.0, pictures=True):
    """A report of `images` images, its truth and its results; one image has a hostile name."""
    import cv2

    truth_rng, rng = np.random.default_rng(7), np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    truth = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 2 * i + 1, "name": name} for i, name in enumerate(CLASSES)],
    }
    results = []
    for i in range(images):
        name = HOSTILE_FILE if i == 1 else f"picture {i:04d}.png"
        if pictures:
            cv2.imwrite(str(folder / name), rng.integers(60, 200, (240, 320, 3)).astype("uint8"))
        truth["images"].append({"id": i, "file_name": name, "width": 320, "height": 240})
        for _ in range(boxes):
            x, y = truth_rng.uniform(0, 220), truth_rng.uniform(0, 150)
            w, h = truth_rng.uniform(15, 100), truth_rng.uniform(15, 90)
            category = int(truth_rng.integers(0, 3)) * 2 + 1
            number = len(truth["annotations"]) + 1
            truth["annotations"].append(
                {"id": number, "image_id": i, "category_id": category, "bbox": [x, y, w, h]}
            )
            if rng.random() < 0.85:
                dx, dy, dw, dh = rng.normal(0, shift, 4)
                box = [x + dx, y + dy, max(w + dw, 2), max(h + dh, 2)]
                score = float(rng.uniform(0.5, 1))
                found = {"image_id": i, "category_id": category, "bbox": box, "score": score}
                results.append(found)
        false = [float(rng.uniform(0, 250)), float(rng.uniform(0, 200)), 30.0, 20.0]
        results.append({"image_id": i, "category_id": 1, "bbox": false, "score": 0.55})
    return truth, results


def report_of(truth, results, folder, title):
    """A report whose box errors are 1 - IoU and a second term, without Keras."""
    rows = evaluation.error_table(truth, results, loss=None, score_threshold=0.5)
    for row in rows:
        row["box_error"] = None if row["iou"] is None else 1 - row["iou"] + 0.125
        row["term_overlap"] = None if row["iou"] is None else 1 - row["iou"]
        row["term_center"] = None if row["iou"] is None else 0.125
    report = BoxReport.from_coco(truth, results, folder, loss=None, score_threshold=0.5)
    report.rows, report.title, report.loss = rows, title, "made up"
    return report


def trained(report):
    """The report with a made-up history of its true boxes, but the first."""
    rng = np.random.default_rng(5)
    rows = report.table()
    for row in [row for row in rows if row["row"] == "truth"][1:]:
        row["history_mean_error"] = float(rng.uniform(0.05, 0.9))
        row["history_std_error"] = float(rng.uniform(0, 0.3))
        row["history_found"] = float(rng.uniform(0, 1))
        row["history_forgotten"] = int(rng.integers(0, 6))
    copy = BoxReport._of(
        **{name: getattr(report, name) for name in ("images", "class_names", "category_ids")},
        **{name: getattr(report, name) for name in ("loss", "title", "iou_threshold")},
        rows=rows,
        pictures=report.picture,
        score_threshold=None,
    )
    return copy


def audited(folder):
    """The audit of a scene with a box of each kind of label error."""
    _, results = scene(folder / "photos", 2, shift=1.0)
    return LabelAudit(audited_truth(folder), results, folder / "photos")


def audited_truth(folder):
    """The labels that `audited` audits, a COCO dict."""
    truth, _ = scene(folder / "photos", 2, shift=1.0)
    return noise.alter(truth, noise.KINDS, 0.08, seed=0)[0]


def shown(page, name):
    return [text.strip() for text in page.locator(f"#rows .row .{name}").all_inner_texts()]


def count(page):
    return int(page.locator("#count").inner_text().split()[0])


def first_row(page):
    rows = page.locator("#rows .row").all()
    return min(rows, key=lambda row: int(row.get_attribute("aria-rowindex")))


def export(page, what):
    page.click("#export")
    with page.expect_download() as download:
        page.click(f"[data-export={what}]")
    return open(download.value.path(), encoding="utf-8", newline="").read()


def exported_rows(page):
    return list(csv.DictReader(io.StringIO(export(page, "csv").removeprefix("\ufeff"))))


def open_section(page, name, drawn):
    """Open it and wait for what it draws: a browser reports it to the page after the click."""
    page.click(f"#{name} > summary")
    page.wait_for_selector(drawn)
