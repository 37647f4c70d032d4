"""How fast the explorer page is with many boxes: `run(args)` measures it in a headless Chromium."""

import pathlib
import shutil
import statistics
import sys
import tempfile

import numpy as np

from boxloss import cli

HELP = "time the explorer page: ready, threshold dragged, sorted, filtered"

# The same for the threshold, moved on the Diagnosis.
DRAGGED = """() => new Promise((done) => {
  const field = document.querySelector('#threshold');
  const start = performance.now();
  field.value = '0.62';
  field.dispatchEvent(new Event('input'));
  document.querySelector('#costs').getBoundingClientRect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));
})"""

# Runs in the page: milliseconds from the click until the browser has laid out the new rows.
TIMED = """(query) => new Promise((done) => {
  const start = performance.now();
  document.querySelector(query).click();
  document.querySelector('#rows').getBoundingClientRect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));
})"""


def add_arguments(parser):
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chromium", default=None, help="path of the browser (default: in PATH)")


def run(args):
    """{"boxes", "rows", "html_mb", "ready_ms", ...}: medians over visits of one page.

    ready: from the start of the navigation until the first tab is drawn; no picture is needed for
    that. threshold: one step of its drag. boxes: opening that tab. sort, filter and scroll: with
    the summary open.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise ValueError(
            "playwright must be installed: pip install playwright. Received: no such module"
        ) from None
    chromium = args.chromium or shutil.which("chromium")
    if chromium is None:
        raise ValueError("`--chromium` must be the path of a Chromium. Received: none in PATH")
    with tempfile.TemporaryDirectory() as folder:
        report = made_up_report(args.boxes)
        index = report.to_html(folder)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
            )
            times = [_visit(browser, index) for _ in range(args.repeats)]
            browser.close()
        size = pathlib.Path(index).stat().st_size
    medians = {
        name: round(statistics.median(visit[name] for visit in times), 1) for name in times[0]
    }
    return {"boxes": args.boxes, "rows": len(report), "html_mb": round(size / 1e6, 2), **medians}


def _visit(browser, index):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-ready]")
    times = {"ready_ms": float(page.evaluate("document.documentElement.dataset.ready"))}
    times["threshold_ms"] = page.evaluate(DRAGGED)
    page.wait_for_timeout(1500)  # the rows behind the tab follow
    times["boxes_ms"] = page.evaluate(TIMED, "#tab-boxes")
    page.evaluate("document.querySelector('#summary').open = true")
    page.wait_for_timeout(200)
    # Each head is clicked once, so that every click sorts by another column.
    sorts = [page.evaluate(TIMED, f"#head [data-sort={key}]") for key in ("iou", "x1", "y2")]
    times["sort_ms"] = max(sorts)
    times["filter_ms"] = page.evaluate(TIMED, '[data-chip="kinds:ok"]')
    page.evaluate("document.querySelector('#rows').scrollTop = 1e9")
    times["scroll_ms"] = page.evaluate(TIMED, "#reset")
    page.close()
    return times


def made_up_report(boxes, seed=0):
    """A report of `boxes` true boxes in images of 20, without pictures and without Keras.

    Three in four are found; as many false detections lie elsewhere, most below the threshold.
    """
    from boxloss.report import BoxReport

    rng = np.random.default_rng(seed)
    images = -(-boxes // 20)
    truth = {
        "images": [
            {"id": i, "file_name": f"{i:06d}.jpg", "width": 640, "height": 480}
            for i in range(images)
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(20)],
        "annotations": [],
    }
    results = []
    for number in range(boxes):
        box = [*rng.uniform(0, 500, 2), *rng.uniform(8, 120, 2)]
        shared = {"image_id": number // 20, "category_id": int(rng.integers(20))}
        truth["annotations"].append({"id": number + 1, **shared, "bbox": box})
        moved = np.maximum(np.add(box, rng.normal(0, 6, 4)), 1).tolist()
        if rng.random() < 0.75:
            results.append({**shared, "bbox": moved, "score": float(rng.uniform(0.3, 1))})
        false = [*rng.uniform(0, 500, 2), *rng.uniform(8, 120, 2)]
        results.append({**shared, "bbox": false, "score": float(rng.uniform(0, 0.7))})
    report = BoxReport.from_coco(truth, results, loss=None)
    for row in report.rows:
        row.terms = {"overlap": None if row.iou is None else 1 - row.iou, "center": None}
        row.box_error = row.terms["overlap"]
    report.loss = "1 - IoU"
    return report


def main(argv=None):
    return cli.run_module("scripts/benchmarks/page.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
