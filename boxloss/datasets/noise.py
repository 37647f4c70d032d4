"""Seeded label errors, put into a data set to see whether they are found again.

    altered, changes = noise.alter(truth, ("shift", "swap"), fraction=0.05, seed=0)

Kinds, as lists of real label errors name them:

    shift      the box moves by 20 to 50 % of its size, in any direction
    resize     the box is 0.55 or 1.7 times as wide and as high, about its centre
    edge       one of its four edges moves by 20 to 50 % of the size, in or out
    swap       another class
    missing    the box is deleted
    spurious   a box is added where no box is: the size and class of another box of the set
    duplicate  a box is added almost on top of another: same class, each edge within 5 % of the size

and the four kinds of Schubert et al. 2024 ("Identifying Label Errors in Object Detection Datasets
by Loss Inspection", arXiv:2303.06999), `LOSS_INSPECTION_KINDS`:

    drop          as missing
    flip          as swap
    shift_normal  centre and size are drawn from normal distributions around the box, of standard
                  deviation 15 % of its sides, until the IoU with the box is in [0.4, 0.7)
    spawn         as spurious, but anywhere in an image, also on other boxes

Boxes are cut at the border of their image where its size is known. The set that is given stays as
it is. Only boxes that count (no crowd, not ignored, wider and higher than 0) are altered.
"""

import copy
import math
import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from boxloss.tensors.overlap import iou

KINDS = ("shift", "resize", "edge", "swap", "missing", "spurious", "duplicate")
LOSS_INSPECTION_KINDS = ("drop", "flip", "shift_normal", "spawn")
MOVE = (0.2, 0.5)  # of width or height
SCALES = (0.55, 1.7)
JITTER = 0.05
SIDES = ("width", "height")
TRIES = 50
FREE_IOU = 0.1  # a spurious box overlaps no box by more, if a place is found in `TRIES`
# A box at the border can be cut back to about what it was: then the move is drawn again.
SAME_IOU = 0.95
NORMAL_SIGMA = 0.15  # of the box's sides
NORMAL_IOU = (0.4, 0.7)  # of a box of "shift_normal" with what it was


class Change(NamedTuple):
    """One altered box. before, after: COCO annotations, None where the box was added or deleted."""

    kind: str
    annotation_id: Any
    image_id: Any
    before: dict | None
    after: dict | None


def alter(
    truth: Any, kinds: str | Sequence[str] = KINDS, fraction: float = 0.05, seed: int = 0
) -> tuple[dict[str, Any], list[Change]]:
    """(COCO dict, list of Change): the set with label errors in it, and what they are.

    truth: a COCO dict, or a `datasets.DataSet`. kinds: one name of `KINDS` or several, which take
    turns. fraction: of the boxes that count; rounded, at least one box. No box is altered twice; a
    spurious box counts as one. seed: same seed, same errors.

    Raises ValueError for an unknown kind, a fraction outside (0, 1], a set without boxes that
    count, and for "swap" in a set of one class.
    """
    kinds = _kinds(kinds)
    if (
        isinstance(fraction, bool)
        or not isinstance(fraction, numbers.Real)
        or not 0 < fraction <= 1
    ):
        raise ValueError(
            f"`fraction` must be a number above 0 and at most 1. Received: fraction={fraction!r}"
        )
    boxes = _Boxes(_content(truth))
    if not boxes.counted:
        raise ValueError("`truth` must hold at least one box that counts. Received: none")
    if {"swap", "flip"} & {*kinds} and len(boxes.categories) < 2:
        raise ValueError(
            "`truth` must have at least two categories to swap them. "
            f"Received: {len(boxes.categories)}"
        )
    rng = np.random.default_rng(seed)
    count = max(1, round(fraction * len(boxes.counted)))
    chosen = rng.permutation(boxes.counted)[:count].tolist()
    changes = [boxes.change(kinds[i % len(kinds)], at, rng) for i, at in enumerate(chosen)]
    return boxes.content(), changes


def _content(truth):
    """A deep copy of the set as a COCO dict whose boxes can be altered."""
    content = copy.deepcopy(truth.to_coco() if hasattr(truth, "to_coco") else truth)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(
                "`truth` must be a DataSet or a COCO dict with the lists 'images', 'annotations' "
                f"and 'categories'. Received: {type(content).__name__} without {key!r}"
            )
    known = {image["id"] for image in content["images"]}
    for entry in content["annotations"]:
        box = entry.get("bbox")
        good = isinstance(box, (list, tuple)) and len(box) == 4
        if not good or not all(isinstance(v, numbers.Real) and math.isfinite(v) for v in box):
            rule, received = "have a bbox of four finite numbers", f"bbox={box!r}"
        elif entry.get("image_id") not in known:
            rule, received = "have the id of an image", f"image_id={entry.get('image_id')!r}"
        else:
            continue
        raise ValueError(
            f"`truth`: annotation {entry.get('id')!r} must {rule}. Received: {received}"
        )
    return content


def _kinds(kinds):
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    known = (*KINDS, *LOSS_INSPECTION_KINDS)
    unknown = [kind for kind in kinds if kind not in known]
    if unknown or not kinds:
        raise ValueError(
            f"`kinds` must be some of {', '.join(map(repr, known))}. "
            f"Received: kinds={unknown[0] if unknown else kinds!r}"
        )
    return kinds


class _Boxes:
    """The annotations of a set while it is altered."""

    def __init__(self, content):
        self._content = content
        self.annotations = list(content["annotations"])
        self.categories = [category["id"] for category in content["categories"]]
        self.images = {image["id"]: image for image in content["images"]}
        self.counted = [i for i, entry in enumerate(self.annotations) if _counts(entry)]
        self.of_image = {}
        for i in self.counted:
            self.of_image.setdefault(self.annotations[i]["image_id"], []).append(
                self.annotations[i]["bbox"]
            )
        ids = [entry["id"] for entry in self.annotations if type(entry.get("id")) is int]
        self.next_id = max(ids, default=0) + 1

    def content(self):
        kept = [entry for entry in self.annotations if entry is not None]
        return {**self._content, "annotations": kept}

    def change(self, kind, at, rng):
        """Alter the annotation at position `at`, or add one for it; the Change."""
        before = self.annotations[at]
        if kind in ("missing", "drop"):
            self.annotations[at] = None
            return Change(kind, before["id"], before["image_id"], before, None)
        if kind in ("spurious", "duplicate", "spawn"):
            after = self._added(kind, before, rng)
            self.annotations.append(after)
            return Change(kind, after["id"], after["image_id"], None, after)
        if kind in ("swap", "flip"):
            others = [number for number in self.categories if number != before["category_id"]]
            after = {**before, "category_id": others[rng.integers(len(others))]}
        else:
            after = self._with_box(before, self._moved(kind, before, rng))
        self.annotations[at] = after
        return Change(kind, before["id"], before["image_id"], before, after)

    def _moved(self, kind, entry, rng):
        low, high = NORMAL_IOU if kind == "shift_normal" else (0.0, SAME_IOU)
        # About one draw in six of the normal distributions is in its range.
        for _ in range(20 * TRIES if kind == "shift_normal" else TRIES):
            box = self._cut(MOVES[kind](entry["bbox"], rng), entry["image_id"])
            if min(box[2:]) > 0 and low <= _largest_iou(box, [entry["bbox"]]) < high:
                break
        return box

    def _added(self, kind, model, rng):
        if kind == "duplicate":
            image, box = model["image_id"], jittered(model["bbox"], rng)
        else:
            image, box = self._free_place(model["bbox"][2:], rng, 1 if kind == "spawn" else TRIES)
        entry = {"id": self.next_id, "image_id": image, "category_id": model["category_id"]}
        self.next_id += 1
        return self._with_box({**entry, "iscrowd": 0}, self._cut(box, image))

    def _free_place(self, size, rng, tries):
        """(image id, box) of the least overlap with true boxes among `tries` drawn places."""
        keys, best = list(self.images), (2.0, None, None)
        for _ in range(tries):
            key = keys[rng.integers(len(keys))]
            room = [
                (self.images[key].get(name) or 0) - s for name, s in zip(SIDES, size, strict=True)
            ]
            corner = [rng.uniform(0, side) if side > 0 else 0.0 for side in room]
            box = [*corner, *size]
            overlap = _largest_iou(box, self.of_image.get(key, []))
            best = min(best, (overlap, key, box), key=lambda place: place[0])
            if overlap <= FREE_IOU:
                break
        return best[1:]

    def _cut(self, box, image_id):
        """The part of a box inside its image."""
        low, high = np.array(box[:2]), np.array(box[:2]) + box[2:]
        for axis, name in enumerate(SIDES):
            end = self.images[image_id].get(name)
            if end:
                low[axis], high[axis] = np.clip((low[axis], high[axis]), 0, end)
        return [*low.tolist(), *(high - low).tolist()]

    def _with_box(self, entry, box):
        return {**entry, "bbox": [float(v) for v in box], "area": float(box[2] * box[3])}


def shifted(box: Sequence[float], rng: np.random.Generator) -> list[float]:
    """xywh moved by `MOVE` of its size in any direction."""
    x, y, w, h = box
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(*MOVE)
    return [x + far * np.cos(angle) * w, y + far * np.sin(angle) * h, w, h]


def resized(box: Sequence[float], rng: np.random.Generator) -> list[float]:
    """xywh scaled about its centre by one of `SCALES`."""
    x, y, w, h = box
    scale = SCALES[rng.integers(2)]
    return [x + w * (1 - scale) / 2, y + h * (1 - scale) / 2, w * scale, h * scale]


def edge_moved(box: Sequence[float], rng: np.random.Generator) -> list[float]:
    """xywh with one of its edges moved by `MOVE` of its size, in or out."""
    x1, y1, w, h = box
    corners = [x1, y1, x1 + w, y1 + h]
    side = rng.integers(4)
    corners[side] += rng.uniform(*MOVE) * (w, h)[side % 2] * rng.choice((-1, 1))
    return [*corners[:2], corners[2] - corners[0], corners[3] - corners[1]]


def jittered(box: Sequence[float], rng: np.random.Generator) -> list[float]:
    """xywh with each edge moved by up to `JITTER` of its size."""
    x1, y1, w, h = box
    moves = rng.uniform(-JITTER, JITTER, 4) * (w, h, w, h)
    corners = np.array([x1, y1, x1 + w, y1 + h]) + moves
    return [*corners[:2], *(corners[2:] - corners[:2])]


def drawn_around(box: Sequence[float], rng: np.random.Generator) -> list[float]:
    """xywh whose centre and size are drawn around those of a box; see "shift_normal"."""
    x, y, w, h = box
    dx, dy, dw, dh = rng.normal(0, NORMAL_SIGMA, 4) * (w, h, w, h)
    return [x + dx - dw / 2, y + dy - dh / 2, w + dw, h + dh]


MOVES = {
    "shift": shifted,
    "resize": resized,
    "edge": edge_moved,
    "shift_normal": drawn_around,
}


def _counts(entry):
    flagged = any(entry.get(name) for name in ("iscrowd", "ignore", "difficult"))
    return not flagged and min(entry["bbox"][2:]) > 0


def _largest_iou(box, others):
    others = np.array(others, "float64").reshape(-1, 4)
    return float(iou(np.array(box, "float64"), others).max(initial=0.0))
