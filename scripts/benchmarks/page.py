"""How fast the explorer page is with many boxes: `run(args)` measures it in a headless Chromium."""

import pathlib
import shutil
import statistics
import sys
import tempfile

import numpy as np

from boxloss import cli

HELP = "time the explorer page: ready, sorted, filtered, scrolled"

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
    """{"boxes", "html_mb", "ready_ms", "sort_ms", "filter_ms", "scroll_ms"}: medians.

    ready: from the navigation's start until the table stands; no picture is needed for that.
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
        index = made_up_report(args.boxes).to_html(folder)
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
    return {"boxes": args.boxes, "html_mb": round(size / 1e6, 2), **medians}


def _visit(browser, index):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-ready]")
    times = {"ready_ms": float(page.evaluate("document.documentElement.dataset.ready"))}
    # Each head is clicked once, so that every click sorts by another column.
    sorts = [page.evaluate(TIMED, f"#head [data-sort={key}]") for key in ("iou", "x1", "y2")]
    times["sort_ms"] = max(sorts)
    times["filter_ms"] = page.evaluate(TIMED, '[data-chip="kinds:ok"]')
    page.evaluate("document.querySelector('#rows').scrollTop = 1e9")
    times["scroll_ms"] = page.evaluate(TIMED, "#reset")
    page.close()
    return times


def made_up_report(boxes, seed=0):
    """A report of `boxes` rows in images of 20 boxes, without pictures and without Keras."""
    from boxloss.evaluation import error_table
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
        results.append({**shared, "bbox": moved, "score": float(rng.uniform(0.5, 1))})
    rows = error_table(truth, results, loss=None, score_threshold=0.6)[:boxes]
    for row in rows:
        for name, share in (("box_error", 1.0), ("term_overlap", 0.9), ("term_center", 0.1)):
            row[name] = None if row["iou"] is None else share * (1 - row["iou"])
    report = BoxReport.from_coco(truth, [], loss=None)
    report.rows, report.loss = rows, "1 - IoU"
    return report


def main(argv=None):
    return cli.run_module("scripts/benchmarks/page.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
