"""From images to detections: letterbox, network, NMS with box voting, pixels of the image."""

import os
from typing import Any

import numpy as np

from boxloss import datasets
from boxloss.datasets.images import opencv
from boxloss.detector import tiles
from boxloss.tensors import ops
from boxloss.types import Found, Pictures

# How many candidates of an image reach NMS, the best by score: enough for COCO's 100 detections.
CANDIDATES = 1000
# Lowest score whose box still votes on the place of others; independent of `score_threshold`.
VOTERS_SCORE = 0.001


def detect(
    detector: Any,
    images: Pictures,
    score_threshold: float = 0.05,
    nms_threshold: float = 0.6,
    limit: int = 100,
    batch_size: int = 16,
    size: int | None = None,
    voting: bool = True,
    tile: int | None = None,
    overlap: float = tiles.OVERLAP,
) -> list[Found]:
    """Detections in images.

    Args:
        images: list of uint8 RGB arrays (H, W, 3) of any sizes, or of paths, or one array
            (B, H, W, 3).
        score_threshold: detections below are dropped. nms_threshold: of two boxes of one class
            whose IoU is above, the one of lower score is dropped.
        limit: the most detections per image.
        size: side of the square that images are fitted into; the detector's own if None.
        voting: whether the boxes that NMS drops move the one that it keeps; see `suppress`.
        tile: side in pixels of the squares that a larger image is cut into; each is fitted to
            `size` by itself, and one NMS runs over all of them. None takes every image whole.
        overlap: the share of its side that a tile has in common with the next, in [0, 1). An object
            that is larger than this may be found in parts.

    Returns: a list, one dict per image: "boxes" float32 (n, 4) xyxy in pixels of that image, inside
        it; "labels" int64 (n,); "scores" float32 (n,), falling.
    """
    size = size or detector.image_size
    tiles.check(tile, overlap)
    rules = (score_threshold, nms_threshold, limit, voting)
    found = []
    for start in range(0, len(images), batch_size):
        pictures = [
            as_picture(image, start + i)
            for i, image in enumerate(images[start : start + batch_size])
        ]
        cuts = [
            tiles.tiles_of(width, height, tile or max(width, height), overlap)
            for height, width in (picture.shape[:2] for picture in pictures)
        ]
        parts = _parts(detector, pictures, cuts, size, batch_size)
        for picture, tiles_of_one in zip(pictures, cuts, strict=True):
            own = [(one, *next(parts)) for one in tiles_of_one]
            found.append(_joined(own, picture.shape[:2], rules))
    return found


def as_picture(image, number=0):
    """An RGB array (H, W, 3) from one, or from its path; ValueError where it is none."""
    if isinstance(image, (str, os.PathLike)):
        image = datasets.read_image(image)
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            "`images` must be RGB images (H, W, 3). "
            f"Received: image {number} of shape {image.shape}"
        )
    return image


def _parts(detector, pictures, cuts, size, batch_size):
    """(place, boxes (A, 4), scores (A, C)) of each tile of each picture, in pixels of its square.

    A tile is cut when its batch is made: a large picture has many of them.
    """
    waiting = [
        picture[tile.top : tile.bottom, tile.left : tile.right]
        for picture, tiles_of_one in zip(pictures, cuts, strict=True)
        for tile in tiles_of_one
    ]
    nothing = np.zeros((0, 4), "float32")
    for start in range(0, len(waiting), batch_size):
        fitted = [
            datasets.letterbox(part, nothing, size) for part in waiting[start : start + batch_size]
        ]
        squares = [square for square, _, _ in fitted]
        if start:  # every new number of images is compiled anew
            squares += [squares[-1]] * (batch_size - len(squares))
        boxes, scores = raw_predictions(detector, np.stack(squares).astype("float32"))
        for i, (_, _, place) in enumerate(fitted):
            yield place, boxes[i], scores[i]


def _joined(parts, shape, rules):
    """The detections of one picture from its (tile, place, boxes, scores): one NMS over all."""
    if len(parts) == 1:
        ((_, place, boxes, scores),) = parts
        return back_to_image(suppress(boxes, scores, *rules), place, *shape)
    lowest = min(rules[0], VOTERS_SCORE)
    every_box, every_score = [], []
    for tile, place, boxes, scores in parts:
        likely = (scores >= lowest).any(axis=-1)  # a few of the thousands of locations
        corner = np.tile(np.array([tile.left, tile.top], "float32"), 2)
        moved = place.undo(boxes[likely]) + corner
        kept = tiles.whole(moved, tile)
        every_box.append(moved[kept])
        every_score.append(scores[likely][kept])
    one = suppress(np.concatenate(every_box), np.concatenate(every_score), *rules)
    return back_to_image(one, datasets.Letterbox(1.0, 0, 0), *shape)


def raw_predictions(detector, squares):
    """Boxes (B, A, 4) in pixels of the squares and scores (B, A, C), as numpy arrays."""
    if hasattr(detector, "raw_predictions"):  # an exported one, which has its own runtime
        return detector.raw_predictions(squares)
    outputs = detector.predict_on_batch(squares)
    scores = ops.convert_to_numpy(ops.sigmoid(outputs["logits"]))
    return ops.convert_to_numpy(outputs["boxes"]), scores


def suppress(
    boxes: np.ndarray,
    scores: np.ndarray,
    score_threshold: float = 0.05,
    nms_threshold: float = 0.6,
    limit: int = 100,
    voting: bool = True,
) -> Found:
    """Multi-class NMS (OpenCV's) of one image, then box voting: boxes (A, 4), scores (A, C).

    A location counts once for each class whose score reaches the threshold. voting: each box kept
    becomes the mean, weighted by score, of itself and the boxes of its class whose IoU with it is
    above `nms_threshold`, down to scores of 0.001; its own score stays. Locations around an object
    guess its sides anew each, so their mean is better than the surest of them (Gidaris & Komodakis
    2015, arXiv:1505.01749).

    Returns: a dict of "boxes" (n, 4), "labels" (n,), "scores" (n,), by falling score.
    """
    cv2 = opencv()
    location, label = np.nonzero(scores >= min(score_threshold, VOTERS_SCORE))
    score = scores[location, label]
    # Stable: of equal scores the lower location goes first, so that equal inputs give equal lists.
    order = np.argsort(-score, kind="stable")[:CANDIDATES]
    location, label, score = location[order], label[order].astype("int64"), score[order]
    voters = boxes[location].astype("float32")
    sure = np.count_nonzero(score >= score_threshold)  # the first ones
    kept = np.arange(0)
    if sure:
        corner_size = np.concatenate([voters[:, :2], voters[:, 2:] - voters[:, :2]], axis=1)
        # OpenCV keeps classes apart by shifting their boxes away from each other.
        kept = cv2.dnn.NMSBoxesBatched(
            corner_size[:sure].astype("float64"),
            score[:sure],
            label[:sure].astype("int32"),
            0.0,
            nms_threshold,
        )
        kept = np.sort(np.asarray(kept, dtype=int).reshape(-1))[:limit]
    found = vote(voters, label, score, kept, nms_threshold) if voting else voters[kept]
    return {"boxes": found, "labels": label[kept], "scores": score[kept].astype("float32")}


def vote(boxes, labels, scores, kept, threshold):
    """The boxes (k, 4) at the positions `kept`, moved by their like; see `suppress`."""
    own, every = boxes[kept, None].astype("float64"), boxes.astype("float64")
    low = np.maximum(own[..., :2], every[:, :2])
    high = np.minimum(own[..., 2:], every[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area = np.prod(every[:, 2:] - every[:, :2], axis=-1)
    alike = shared > threshold * (area[kept, None] + area - shared)
    alike &= labels[kept, None] == labels
    alike[np.arange(len(kept)), kept] = True  # itself, if it has no area
    # A score of 0 would divide 0 by 0 where a box has no other voter.
    weights = alike * np.maximum(scores, np.finfo("float32").tiny)
    return ((weights / weights.sum(axis=1, keepdims=True)) @ every).astype("float32")


def back_to_image(found, place, height, width):
    """Detections in the square as detections in the image: shifted, scaled, clipped, none empty."""
    boxes = place.undo(found["boxes"])
    # A box in the padding of the square becomes flat here, and is dropped.
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], "float32"))
    real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return {key: value[real] for key, value in {**found, "boxes": boxes}.items()}
