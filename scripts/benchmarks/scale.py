"""Times and peak memory of the commands on a large data set that it makes itself.

100,000 images (links to a few files), 1,000,000 boxes and 2,000,000 detections by default. Every
command runs as a process of its own; its peak memory is what the system has counted for it.
`faster-coco-eval` is run alone on the same files, as its own documentation has it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from boxloss import cli
from boxloss.datasets.images import opencv

HELP = "time check, evaluate, explore and audit on a large data set"
COMMANDS = ("peer", "check", "evaluate", "explore", "audit")
WIDTH, HEIGHT, FILES, CLASSES = 640, 480, 16, 20

# What faster-coco-eval's own documentation does with two files.
PEER = """
import json, sys
from faster_coco_eval import COCO, COCOeval_faster
silent = lambda *words: None
truth = COCO(sys.argv[1])
found = truth.loadRes(sys.argv[2])
evaluator = COCOeval_faster(truth, found, "bbox", print_function=silent)
evaluator.evaluate()
evaluator.accumulate()
evaluator.summarize()
print(json.dumps({"AP": float(evaluator.stats[0])}))
"""


def add_arguments(parser):
    number = {"type": int, "help": "(default: %(default)s)"}
    parser.add_argument("--images", default=100_000, **number)
    parser.add_argument("--boxes", default=1_000_000, **number)
    parser.add_argument("--detections", default=2_000_000, **number)
    parser.add_argument("--commands", default=list(COMMANDS), nargs="+", choices=COMMANDS)
    parser.add_argument(
        "--worst",
        default=2000,
        type=int,
        help="rows of a page with pictures (default: %(default)s)",
    )
    parser.add_argument("--folder", type=pathlib.Path, help="keep the data set and pages here")


def run(args):
    root = args.folder or pathlib.Path(tempfile.mkdtemp(prefix="boxloss-scale-"))
    try:
        if not (root / "detections.json").exists():
            write(root, args.images, args.boxes, args.detections)
        result = {"images": args.images, "boxes": args.boxes, "detections": args.detections}
        result["worst"] = args.worst
        for name in args.commands:
            result[name] = measured(command_of(name, root, args.worst))
            print(f"{name}: {result[name]}", file=sys.stderr)
        if "peer" in result and "evaluate" in result:
            times = [result[name]["cpu_seconds"] for name in ("evaluate", "peer")]
            result["evaluate_to_peer"] = round(times[0] / times[1], 2)
        return result
    finally:
        if args.folder is None:
            shutil.rmtree(root)


def write(root, images, boxes, detections, seed=0):
    """A COCO data set in `root`: images/, annotations.json and detections.json."""
    cv2 = opencv()
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    for number in range(images):
        path = root / "images" / f"{number:06d}.jpg"
        if number < FILES:
            coarse = rng.integers(0, 255, (12, 16, 3), dtype="uint8")
            cv2.imwrite(str(path), cv2.resize(coarse, (WIDTH, HEIGHT)))
        else:
            os.link(root / "images" / f"{number % FILES:06d}.jpg", path)
    of_image = np.sort(rng.integers(0, images, boxes))
    classes = rng.integers(1, CLASSES + 1, boxes)
    xywh = rng.uniform((0, 0, 8, 8), (480, 320, 160, 160), (boxes, 4)).round(2)
    content = {
        "images": [
            {"id": i, "file_name": f"{i:06d}.jpg", "width": WIDTH, "height": HEIGHT}
            for i in range(images)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
            }
            for i, (image, label, box) in enumerate(
                zip(of_image.tolist(), classes.tolist(), xywh.tolist(), strict=True), 1
            )
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    results = _detections(rng, of_image, classes, xywh, images, detections)
    (root / "detections.json").write_text(json.dumps(results))


def _detections(rng, of_image, classes, xywh, images, count):
    """COCO results: nine of ten boxes found, a little off, and false ones for the rest."""
    found = rng.permutation(len(xywh))[: min(count, len(xywh) * 9 // 10)]
    false = count - len(found)
    near = np.maximum(xywh[found] + rng.normal(0, 4, (len(found), 4)), 1)
    far = rng.uniform((0, 0, 8, 8), (480, 320, 160, 160), (false, 4))
    boxes = np.concatenate([near, far]).round(2).tolist()
    image = np.concatenate([of_image[found], rng.integers(0, images, false)]).tolist()
    label = np.concatenate([classes[found], rng.integers(1, CLASSES + 1, false)]).tolist()
    score = np.concatenate([rng.beta(4, 2, len(found)), rng.beta(1, 4, false)]).round(4).tolist()
    return [
        {"image_id": i, "category_id": c, "bbox": box, "score": s}
        for i, c, box, s in zip(image, label, boxes, score, strict=True)
    ]


def command_of(name, root, worst):
    """The words of one command."""
    truth, found = str(root / "annotations.json"), str(root / "detections.json")
    if name == "peer":
        return [sys.executable, "-c", PEER, truth, found]
    out = ["--out", str(root / name)]
    data = ["--images", str(root / "images"), "--annotations", truth]
    return [
        *(sys.executable, "-m", "boxloss", name, *data, *out),
        *([] if name == "check" else ["--detections", found]),
        *(["--headers-only"] if name == "check" else []),
        *(["--worst", str(worst)] if name in ("explore", "evaluate") else []),
    ]


def measured(words):
    """Wall and CPU seconds and peak megabytes of a command; ValueError where it fails."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode:
            raise ValueError(
                f"{words[2:4]} must end well. Received: {errors.read()[-500:].decode()}"
            )
    return {
        "wall_seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_megabytes": round(usage.ru_maxrss / 1024),
    }


def main(argv=None):
    return cli.run_module("scale.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
