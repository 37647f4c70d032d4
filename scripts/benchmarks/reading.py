"""How long a large COCO data set takes to load, beside json.load and pycocotools' index of it.

The files are made in a temporary folder: 100,000 small pictures and a million annotations by
default. `boxloss.datasets.load` parses the file, checks every annotation and looks into every
picture; pycocotools only parses the file and sorts what is in it by id.
"""

import contextlib
import gc
import io
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

from boxloss import cli

HELP = "time reading a large COCO data set beside json.load and pycocotools' index"
SIDES = (640, 480)


def add_arguments(parser):
    number = {"type": int, "help": "(default: %(default)s)"}
    parser.add_argument("--images", default=100_000, **number)
    parser.add_argument("--annotations", default=1_000_000, **number)
    parser.add_argument("--categories", default=80, **number)
    parser.add_argument("--rounds", default=3, **number)


def run(args):
    """CPU seconds, medians of rounds that alternate, and the ratio of each pair of rounds.

    CPU time stays meaningful on a machine that is busy with other work.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        write(root, args.images, args.annotations, args.categories)
        pairs = [(_index(root), _load(root)) for _ in range(args.rounds)]
    peers, ours = zip(*pairs, strict=True)
    result = {
        "images": args.images,
        "annotations": args.annotations,
        "categories": args.categories,
        "json_and_index_s": round(statistics.median(peers), 2),
        "load_s": round(statistics.median(ours), 2),
        "ratio": round(statistics.median(own / peer for peer, own in pairs), 2),
    }
    print(
        f"json.load and index {result['json_and_index_s']} s, load {result['load_s']} s: "
        f"{result['ratio']} times",
        file=sys.stderr,
    )
    return result


def write(root, images, annotations, categories, seed=0):
    """A COCO data set in the folder `root`: `images/` and `annotations.json`."""
    from boxloss.datasets.images import opencv

    picture = opencv().imencode(".png", np.zeros(SIDES[::-1], "uint8"))[1].tobytes()
    (root / "images").mkdir()
    names = [f"{i:06d}.png" for i in range(images)]
    for name in names:
        (root / "images" / name).write_bytes(picture)
    rng = np.random.default_rng(seed)
    boxes = rng.uniform((0, 0, 5, 5), (500, 350, 100, 100), (annotations, 4)).round(2).tolist()
    of_image = rng.integers(1, images + 1, annotations).tolist()
    of_category = rng.integers(1, categories + 1, annotations).tolist()
    content = {
        "images": [
            {"id": i, "file_name": name, "width": SIDES[0], "height": SIDES[1]}
            for i, name in enumerate(names, 1)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "segmentation": [],
            }
            for i, (image, category, box) in enumerate(
                zip(of_image, of_category, boxes, strict=True), 1
            )
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, categories + 1)],
    }
    (root / "annotations.json").write_text(json.dumps(content))


def _index(root):
    """Seconds of json.load and pycocotools' index."""
    from pycocotools.coco import COCO

    with _cpu_seconds() as seconds, open(root / "annotations.json") as file:
        peer = COCO()
        peer.dataset = json.load(file)
        with contextlib.redirect_stdout(io.StringIO()):
            peer.createIndex()
    return seconds[0]


def _load(root):
    """Seconds of `datasets.load`."""
    from boxloss import datasets

    with _cpu_seconds() as seconds:
        dataset = datasets.load(root / "images", root / "annotations.json", strict=True)
    assert len(dataset) == len(os.listdir(root / "images"))
    return seconds[0]


@contextlib.contextmanager
def _cpu_seconds():
    """A list that gets the CPU seconds of the block; garbage of earlier rounds is gone before."""
    gc.collect()
    seconds, started = [], time.process_time()
    yield seconds
    seconds.append(time.process_time() - started)


def main(argv=None):
    return cli.run_module("scripts/benchmarks/reading.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
