"""Descent of 200 predictions to their truths, every step of it in one compiled loop.

Adam on the loss of every pair by itself, learning rate 0.02 of the truth's size with cosine decay
to 0. Starts are inverted and flat (2,000 steps), or 2 to 5 sizes away (10,000 steps).
"""

import math

import numpy as np

from boxloss.functional import distribution, fine_grained
from boxloss.functional.box3d_pair import Box3DPair
from boxloss.functional.pair import Pair
from boxloss.functional.rotated_pair import RotatedPair
from boxloss.simulation import loop
from boxloss.tensors import ops

STARTS = 200
STEPS = {"inverted": 2_000, "disjoint": 10_000}
RATE = 0.02
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
ENOUGH = 0.9  # IoU


def _truths(rng):
    """Centres and sides (STARTS, 2): sides around 13, that of NWD's constant, mostly not square."""
    return rng.uniform(100, 400, (STARTS, 2)), np.exp(
        rng.uniform(np.log(6), np.log(30), (STARTS, 2))
    )


def _xyxy(center, side):
    return np.concatenate([center - side / 2, center + side / 2], axis=-1)


def _inverted_sides(rng, side):
    """Sides a fifth each: inverted in x, in y, in both; flat on one axis; flat on both."""
    sign = np.ones((STARTS, 2))
    kind = np.arange(STARTS) % 5
    sign[kind == 0, 0] = sign[kind == 1, 1] = sign[kind == 2] = -1
    flat = rng.integers(0, 2, STARTS)
    sign[(kind == 3), flat[kind == 3]] = 0
    sign[kind == 4] = 0
    return sign * side


def starts(kind, rotated=False, seed=0):
    """Truths and starts, float32 (STARTS, 4) in xyxy, or (STARTS, 5) rotated."""
    rng = np.random.default_rng(seed)
    center, side = _truths(rng)
    size = side.max(-1, keepdims=True)
    scale = np.exp(rng.uniform(np.log(0.5), np.log(2), (STARTS, 2)))
    if kind == "inverted":
        # The centre somewhere in the truth: this start is about sides, not about distance.
        start_center = center + rng.uniform(-0.4, 0.4, (STARTS, 2)) * side
        start_side = _inverted_sides(rng, side * scale)
    else:
        direction = rng.uniform(-np.pi, np.pi, STARTS)
        away = rng.uniform(2, 5, (STARTS, 1)) * size
        start_center = center + away * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
        start_side = side * scale
    if not rotated:
        return _xyxy(center, side).astype("float32"), _xyxy(start_center, start_side).astype(
            "float32"
        )
    angle = rng.uniform(-np.pi / 2, np.pi / 2, (STARTS, 1))
    turned = angle + rng.uniform(-0.5, 0.5, (STARTS, 1))
    return (
        np.concatenate([center, side, angle], axis=-1).astype("float32"),
        np.concatenate([start_center, start_side, turned], axis=-1).astype("float32"),
    )


def starts_3d(kind, seed=0):
    """Truths and starts, float32 (STARTS, 7): the rotated ones, with heights."""
    truth, start = starts(kind, rotated=True, seed=seed)
    rng = np.random.default_rng(seed + 1)
    height = np.exp(rng.uniform(np.log(6), np.log(30), (STARTS, 1)))
    start_height = height * np.exp(rng.uniform(np.log(0.5), np.log(2), (STARTS, 1)))
    away = 0.4 if kind == "inverted" else 2.0
    z = rng.uniform(-away, away, (STARTS, 1)) * height
    if kind == "inverted":  # a third each: inverted, flat, ordered
        start_height *= (np.arange(STARTS) % 3 - 1)[:, None]

    def joined(box, z, height):
        parts = [box[:, :2], z, box[:, 2:4], height, box[:, 4:]]
        return np.concatenate(parts, axis=-1).astype("float32")

    return joined(truth, np.zeros_like(z), height), joined(start, z, start_height)


def _distances(loss, rng):
    """What a distribution should be, and logits (STARTS, 4 * bins) sure of wrong bins."""
    wrong = rng.integers(0, loss.bins, (STARTS, 4))
    logits = 8 * np.eye(loss.bins, dtype="float32")[wrong].reshape(STARTS, -1)
    if loss.name == "dfl":
        truth = rng.uniform(2, 14.9, (STARTS, 4))
    elif loss.name == "fgl":
        truth = rng.uniform(-1, 3, (STARTS, 4))
    else:  # a teacher that is about as sure, the quality, and whether the box is matched
        teacher = logits[rng.permutation(STARTS)] + rng.normal(0, 1, logits.shape)
        matched = np.arange(STARTS)[:, None] % 2
        truth = np.concatenate([teacher, 0.5 + 0.4 * matched, matched], axis=-1)
    return truth.astype("float32"), logits


def _rates(loss, truth, start):
    """Step sizes, of the shape of `start`: 0.02 of the truth's longer side.

    Of 1 for what has no such size: angles, log-variances, logits.
    """
    rates = np.full_like(start, RATE)
    if loss.kind == "rotated":
        rates[:, :4] *= truth[:, 2:4].max(-1, keepdims=True)
    elif loss.kind == "box3d":
        rates[:, :6] *= truth[:, 3:6].max(-1, keepdims=True)
    elif loss.kind != "distribution":
        rates[:, :4] *= (truth[:, 2:] - truth[:, :2]).max(-1, keepdims=True)
    return rates


def _overlap(loss, truth, prediction):
    if loss.kind == "rotated":
        return RotatedPair(truth, prediction).iou
    if loss.kind == "box3d":
        return Box3DPair(truth, prediction, loss.origin, loss.clockwise).iou
    if loss.name == "fgl":
        values = fine_grained.bin_values(loss.bins, loss.reg_scale, loss.up)
        logits = distribution.by_side(prediction, loss.bins)
        return fine_grained.iou_of(truth, logits, values, loss.reg_scale)
    if loss.kind == "distribution":
        if loss.name == "ddf":
            truth = truth[:, : 4 * loss.bins]
            truth = distribution.expected(distribution.by_side(truth, loss.bins))
        expected = distribution.expected(distribution.by_side(prediction, loss.bins))
        sign = np.float32([-1, -1, 1, 1])  # from one point
        truth, prediction = sign * truth, sign * expected
    return Pair(truth, prediction[:, :4]).iou


class Descent:
    """The compiled descent of one loss, for both kinds of starts."""

    def __init__(self, loss):
        self.loss = loss
        self._run = loop.compiled(self._walk, *self._arrays("inverted"))

    def _arrays(self, kind):
        """Truths, starts, step sizes and the number of steps."""
        if self.loss.kind == "distribution":
            truth, start = _distances(self.loss, np.random.default_rng(0))
        elif self.loss.kind == "box3d":
            truth, start = starts_3d(kind)
        else:
            truth, start = starts(kind, self.loss.kind == "rotated")
        if self.loss.kind == "uncertainty":
            start = np.concatenate([start, np.zeros_like(start)], axis=-1)
        return truth, start, _rates(self.loss, truth, start), np.asarray(STEPS[kind], "int32")

    def _walk(self, truth, start, rates, steps):
        def summed(state):
            y_true, y_pred = ops.expand_dims(truth, 0), ops.expand_dims(state[0], 0)
            # The sum over pairs that do not know each other.
            return ops.sum(loop.errors(self.loss, y_true, y_pred))

        def step(k, carry):
            state, first, second = carry
            (slope,) = loop.gradient(summed, (state,))
            time = ops.cast(k + 1, "float32")
            share = ops.cast(k, "float32") / ops.cast(steps, "float32")
            decay = 0.5 * (1.0 + ops.cos(math.pi * share))
            first = BETA_1 * first + (1 - BETA_1) * slope
            second = BETA_2 * second + (1 - BETA_2) * slope * slope
            mean = first / (1.0 - ops.exp(time * math.log(BETA_1)))
            square = second / (1.0 - ops.exp(time * math.log(BETA_2)))
            return state - decay * rates * mean / (ops.sqrt(square) + EPSILON), first, second

        zeros = ops.zeros_like(start)
        return ops.fori_loop(0, steps, step, (start, zeros, zeros))[0]

    def share(self, kind):
        """The share of the starts of a kind that end with an IoU above 0.9."""
        arrays = self._arrays(kind)
        overlap = _overlap(self.loss, ops.convert_to_tensor(arrays[0]), self._run(*arrays))
        return float((ops.convert_to_numpy(overlap) > ENOUGH).mean())
