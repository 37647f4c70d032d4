"""Images a second of the ways to make batches, beside plain OpenCV in as many processes.

Plain OpenCV reads a file, decodes it and resizes it to fit the square, and does nothing else. The
others make whole batches: a check of the file, letterbox, boxes, padding. All look at the same
large JPEG files, which are links to few; nothing is cached. A file of at least twice the size of
the square is decoded at a half by ours and in full by plain OpenCV; --side 1000 leaves that out.

    threads    `datasets.Batches`, as Keras' own threads call it
    processes  `datasets.workers`: grain's worker processes
    keras      `keras.utils.PyDataset` with `use_multiprocessing=True`, in the pool that Keras makes
"""

import concurrent.futures
import itertools
import json
import multiprocessing
import os
import pathlib
import resource
import statistics
import sys
import tempfile
import time

import numpy as np

from boxloss import cli, datasets
from boxloss.datasets import workers
from boxloss.datasets.examples import Examples
from boxloss.datasets.images import opencv

HELP = "images per second of the loaders, beside plain OpenCV in as many processes"
BATCH, FILES = 8, 16
AHEAD = 6  # batches for each worker: more than any of the ways keeps waiting
WAYS = ("threads", "processes", "keras")


def add_arguments(parser):
    number = {"type": int, "help": "(default: %(default)s)"}
    parser.add_argument("--image-size", default=640, **number)
    parser.add_argument("--side", default=1280, type=int, help="width of the JPEG files")
    parser.add_argument("--images", default=400, type=int, help="per round (default: %(default)s)")
    parser.add_argument("--rounds", default=3, **number)
    parser.add_argument("--workers", default=[1, 2], nargs="+", **number)
    parser.add_argument("--ways", default=["threads", "processes"], nargs="+", choices=WAYS)
    parser.add_argument("--augment", action="store_true", help="mosaics and the rest, too")
    parser.add_argument(
        "--memory",
        type=int,
        metavar="STEPS",
        help="instead: memory while so many batches are made by the first of --ways",
    )


def run(args):
    with tempfile.TemporaryDirectory() as folder:
        dataset = write(pathlib.Path(folder), args.images, args.side)
        if args.memory:
            return memory(args, dataset)
        result = {"image_size": args.image_size, "files": f"{args.side} x {args.side * 3 // 4}"}
        for count in args.workers:
            result[f"workers_{count}"] = _compared(args, dataset, count)
        return result


def _compared(args, dataset, count):
    """Medians of rounds that alternate: plain OpenCV, then each way."""
    seconds = {"opencv": plain(dataset, args.image_size, count)}
    seconds |= {way: made_by(way, args, dataset, count) for way in args.ways}
    rates = {name: [] for name in seconds}
    for _ in range(args.rounds):
        for name, measure in seconds.items():
            rates[name].append(args.images / next(measure))
    for measure in seconds.values():
        measure.close()
    found = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    for way in args.ways:
        pairs = zip(rates[way], rates["opencv"], strict=True)
        found[f"{way}_ratio"] = round(statistics.median(own / peer for own, peer in pairs), 3)
        print(
            f"{count} workers: {way} {found[way]} images/s, OpenCV {found['opencv']}: "
            f"{found[f'{way}_ratio']}",
            file=sys.stderr,
        )
    return found


def write(root, count, side):
    """A data set of `count` JPEG files, links to a few; noise on a smooth picture, as in photos."""
    cv2 = opencv()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    height = side * 3 // 4
    (root / "images").mkdir()
    for number in range(count):
        path = root / "images" / f"{number:06d}.jpg"
        if number < FILES:
            coarse = rng.integers(0, 255, (12, 16, 3), dtype="uint8")
            smooth = cv2.resize(coarse, (side, height), interpolation=cv2.INTER_CUBIC)
            noise = rng.integers(0, 24, smooth.shape, dtype="uint8")
            cv2.imwrite(str(path), cv2.add(smooth, noise), [cv2.IMWRITE_JPEG_QUALITY, 90])
        else:
            os.link(root / "images" / f"{number % FILES:06d}.jpg", path)
    boxes = rng.uniform((0, 0, 20, 20), (side / 2, height / 2, side / 2, height / 2), (count, 5, 4))
    images = [
        {"id": i, "file_name": f"{i:06d}.jpg", "width": side, "height": height}
        for i in range(count)
    ]
    annotations = [
        {"id": 5 * i + j, "image_id": i, "category_id": 1, "bbox": boxes[i, j].tolist()}
        for i, j in itertools.product(range(count), range(5))
    ]
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "thing"}]
    (root / "annotations.json").write_text(json.dumps(content))
    return datasets.load(root / "images", root / "annotations.json")


def _decode(path_size):
    path, size = path_size
    cv2 = opencv()
    cv2.setNumThreads(1)
    image = cv2.imread(path)
    scale = min(size / image.shape[1], size / image.shape[0])
    return cv2.resize(image, (0, 0), fx=scale, fy=scale, interpolation=cv2.INTER_AREA).shape[0]


def plain(dataset, size, count):
    """Seconds of each pass of plain OpenCV over all files, in `count` processes."""
    work = [(str(record.path), size) for record in dataset.records]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, context) as pool:
        list(pool.map(_decode, work[: 4 * count]))
        while True:
            began = time.perf_counter()
            list(pool.map(_decode, work, chunksize=BATCH))
            yield time.perf_counter() - began


def made_by(way, args, dataset, count):
    """Seconds of each epoch of one way."""
    arguments = {"augment": args.augment, "shuffle": True, "seed": 0}
    steps = -(-len(dataset.records) // BATCH)
    batches = _batches_of(way, dataset, args.image_size, count, arguments, steps)
    while True:
        # While another way is timed, this one makes batches ahead, and of a short round half would
        # be there before it begins.
        for _ in range(AHEAD * count):
            next(batches)
        began = time.perf_counter()
        for _ in range(steps):
            next(batches)
        yield time.perf_counter() - began


def _batches_of(way, dataset, size, count, arguments, steps):
    """Endless batches of a way, in order."""
    from boxloss.datasets.cache import Cache

    if way == "processes":
        examples = Examples(dataset, BATCH, size, cache=Cache("none"), **arguments)
        made = workers.iterator(examples, steps, 0, workers.Share(), count)
        yield from map(workers.as_float, made)
        return
    # `fit` reads a PyDataset through this class, which has no public name; fit itself would add
    # the time of a training step.
    from keras.src.trainers.data_adapters.py_dataset_adapter import OrderedEnqueuer

    batches = datasets.Batches(
        dataset,
        BATCH,
        size,
        cache="none",
        workers=count,
        use_multiprocessing=way == "keras",
        **arguments,
    )
    enqueuer = OrderedEnqueuer(batches, count, way == "keras", max_queue_size=4)
    try:
        while (
            True
        ):  # as `fit` does: an enqueuer that was started makes one epoch, then waits forever
            enqueuer.start()
            yield from itertools.islice(enqueuer.get(), steps)
            enqueuer.stop()
    finally:
        if enqueuer.is_running():
            enqueuer.stop()


def memory(args, dataset):
    """Megabytes in use by all processes of one way, after a tenth and after all of the batches."""
    arguments = {"augment": args.augment, "shuffle": True, "seed": 0}
    steps = -(-len(dataset.records) // BATCH)
    way, count = args.ways[0], args.workers[0]
    made = _batches_of(way, dataset, args.image_size, count, arguments, steps)
    found = []
    for number in range(1, args.memory + 1):
        next(made)
        if number % max(1, args.memory // 10) == 0:
            found.append(round(in_use() / 2**20, 1))
            print(f"batch {number} of {args.memory}: {found[-1]} MB", file=sys.stderr)
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"way": way, "workers": count, "megabytes": found, "peak_megabytes": round(highest, 1)}


def in_use():
    """Resident bytes of this process and its children."""
    import psutil

    process = psutil.Process()
    every = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in every)


def main(argv=None):
    return cli.run_module("loader.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
