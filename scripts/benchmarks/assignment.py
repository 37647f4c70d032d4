"""Task-aligned assignment next to that of Ultralytics: do they agree, and how long do they take?

Both get the same scores, boxes and truths, with IoU as the measure, alpha 0.5, beta 6 and ten
locations per box. Ultralytics runs in an interpreter of its own (`--ultralytics-python`); the
rounds of both are interleaved, so that a busy machine is as busy for both.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from boxloss import cli

HELP = "time task-aligned assignment beside Ultralytics' and compare what they assign"


def add_arguments(parser):
    parser.add_argument("--images", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--boxes", type=int, default=100, help="an image (default: %(default)s)")
    parser.add_argument("--size", type=int, default=640, help="of an image; 640 has 8,400 anchors")
    parser.add_argument("--classes", type=int, default=80, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved (default: %(default)s)")
    parser.add_argument(
        "--ultralytics-python", default=sys.executable, help="an interpreter with ultralytics"
    )


def example(images, boxes, size, classes, seed=0):
    """Arguments of `assignment.task_aligned` by name: predictions scattered around the truths.

    No two numbers are equal, so that no choice is a tie.
    """
    from boxloss import coders

    rng = np.random.default_rng(seed)
    points, strides = (np.asarray(x) for x in coders.grid(size, size, (8, 16, 32)))
    center = rng.uniform(0.1 * size, 0.9 * size, (images, boxes, 2))
    side = np.exp(rng.uniform(np.log(0.04 * size), np.log(0.3 * size), (images, boxes, 2)))
    truth = np.concatenate([center - side / 2, center + side / 2], axis=-1).astype("float32")
    truth[:, boxes - boxes // 4 :] = -1  # padding, as batches have it
    labels = np.where((truth != -1).any(-1), rng.integers(0, classes, (images, boxes)), -1)
    # A head that has learned something: each location predicts the box whose centre is nearest.
    distance = np.linalg.norm(points[None, :, None] - center[:, None], axis=-1)
    distance[:, :, boxes - boxes // 4 :] = np.inf
    nearest = distance.argmin(-1)[..., None]
    predicted = np.take_along_axis(truth, nearest, axis=1)
    noise = rng.normal(0, 1, predicted.shape) * np.asarray(strides).reshape(1, -1, 1)
    return {
        "scores": rng.uniform(0.01, 0.9, (images, len(points), classes)).astype("float32"),
        "boxes": (predicted + noise).astype("float32"),
        "points": points.astype("float32"),
        "true_boxes": truth,
        "true_labels": labels.astype("int32"),
    }


def compare(inputs, ours, theirs):
    """How many locations agree, and why the others do not.

    "ties": the box has fewer overlapping locations than it may choose, and the rest, of IoU 0 and
    quality 0, are chosen by one alone. "unchosen": a location that several boxes chose goes, in
    Ultralytics, to the box that overlaps it most even if that one did not choose it.
    "unexplained": all others.
    """
    same = ours["index"] == theirs["index"]
    found = same & (ours["index"] >= 0)
    gap = np.abs(ours["quality"] - theirs["quality"])[found]
    mine, other = (_overlaps(inputs, x["index"]) for x in (ours, theirs))
    ties = ~same & ((mine == 0) | (other == 0)) & (np.fmax(mine, other) == 0)
    unchosen = ~same & ~ties & (other > mine)
    return {
        "locations": int(same.size),
        "assigned": int((ours["index"] >= 0).sum()),
        "different": int((~same).sum()),
        "ties": int(ties.sum()),
        "unchosen": int(unchosen.sum()),
        "unexplained": int((~same & ~ties & ~unchosen).sum()),
        "quality_gap": float(gap.max()) if found.any() else 0.0,
    }


def _overlaps(inputs, index):
    """IoU (B, A) of each location's prediction with its box; NaN where it has none."""
    true = np.take_along_axis(inputs["true_boxes"], np.maximum(index, 0)[..., None], axis=1)
    pred = inputs["boxes"]
    low, high = np.maximum(true[..., :2], pred[..., :2]), np.minimum(true[..., 2:], pred[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(np.maximum(x[..., 2:] - x[..., :2], 0), axis=-1) for x in (true, pred)]
    return np.where(index >= 0, shared / (areas[0] + areas[1] - shared), np.nan)


SMALLEST = 16.0  # Ultralytics takes shorter sides as its second stride.


def run(args):
    """{"boxloss_ms", "ultralytics_ms", "ratio", "agreement", "absent"}."""
    from boxloss import assignment
    from boxloss.tensors import ops

    inputs = example(args.images, args.boxes, args.size, args.classes)
    tensors = {key: ops.convert_to_tensor(array) for key, array in inputs.items()}

    def assign():
        result = assignment.task_aligned(**tensors, smallest=SMALLEST)
        return {key: ops.convert_to_numpy(getattr(result, key)) for key in ("index", "quality")}

    ours = assign()
    result = {"images": args.images, "anchors": len(inputs["points"]), "boxes": args.boxes}
    with tempfile.TemporaryDirectory() as folder:
        peer, reason = _start_peer(args.ultralytics_python, pathlib.Path(folder), inputs)
        if peer is None:
            print(f"ultralytics: {reason}", file=sys.stderr)
            result |= {"absent": {"ultralytics": reason}}
        else:
            theirs = dict(np.load(pathlib.Path(folder) / "outputs.npz"))
            result |= {"agreement": compare(inputs, ours, theirs)}
        mine, other = [], []
        for _ in range(args.rounds):
            started = time.perf_counter()
            assign()
            mine.append(time.perf_counter() - started)
            if peer is not None:
                peer.stdin.write("go\n")
                peer.stdin.flush()
                other.append(float(peer.stdout.readline()))
        if peer is not None:
            peer.stdin.close()
            peer.wait()
    result["boxloss_ms"] = round(1e3 * statistics.median(mine), 2)
    if other:
        result["ultralytics_ms"] = round(1e3 * statistics.median(other), 2)
        result["ratio"] = round(result["ultralytics_ms"] / result["boxloss_ms"], 2)
    for key in ("boxloss_ms", "ultralytics_ms", "ratio", "agreement"):
        if key in result:
            print(f"{key:16} {result[key]}", file=sys.stderr)
    return result


def _start_peer(python, folder, inputs):
    """(process that answers every line with seconds, None), or (None, why there is none)."""
    np.savez(folder / "inputs.npz", **inputs)
    script = pathlib.Path(__file__).with_name("assignment_peer.py")
    command = [python, str(script), str(folder / "inputs.npz"), str(folder / "outputs.npz")]
    pipe = subprocess.PIPE
    try:
        peer = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    except OSError as error:
        return None, f"{type(error).__name__}: {error.strerror}"
    for line in peer.stdout:
        if line.strip() == "ready":
            return peer, None
    return None, (peer.stderr.read().strip().splitlines() or ["no message"])[-1]


def main(argv=None):
    return cli.run_module("scripts/benchmarks/assignment.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
