"""max-IoU, ATSS, SimOTA and Hungarian against plain loops over one image."""

import math

import numpy as np
import pytest
from gradients import as_numpy

from boxloss import assignment, coders

CLASSES = 3
POINTS, STRIDES = coders.grid(64, 64, (8, 16))
LEVELS = (64, 16)
ANCHORS = np.concatenate([POINTS - 2 * STRIDES[:, None], POINTS + 2 * STRIDES[:, None]], axis=1)


def problem(seed, boxes=6):
    """Truth of three images, one empty, with crowds; predictions of a half-trained head."""
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 40, (3, boxes, 2)), rng.uniform(8, 30, (3, boxes, 2))
    truth = np.concatenate([corner, corner + side], axis=-1)
    labels = rng.integers(0, CLASSES, (3, boxes))
    ignore = rng.uniform(size=labels.shape) < 0.2
    truth[0, 4:] = truth[2] = -1
    labels[0, 4:] = labels[2] = -1
    ignore[0, 4:] = ignore[2] = False
    middle = POINTS + rng.normal(0, 4, (3, *POINTS.shape))
    half = rng.uniform(4, 16, middle.shape)
    predicted = np.concatenate([middle - half, middle + half], axis=-1)
    scores = rng.uniform(0.01, 0.9, (3, len(POINTS), CLASSES))
    kinds = ["float32", "float32", "float32", "int32"]
    arrays = (scores, predicted, truth, labels)
    return *(x.astype(k) for x, k in zip(arrays, kinds, strict=True)), ignore


def areas(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared, union, hull


def iou(a, b):
    shared, union, _ = areas(a.astype("float64"), b.astype("float64"))
    return shared / union


def split_rows(truth, ignore):
    real = [n for n in range(len(truth)) if (truth[n] != -1).any()]
    return [n for n in real if not ignore[n]], [n for n in real if ignore[n]]


def contains(box, point):
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def finish(index, ignored, labels):
    """The labels that belong to chosen boxes."""
    return [
        labels[n] if n >= 0 else -1 if left else CLASSES
        for n, left in zip(index, ignored, strict=True)
    ]


def loop_max_iou(truth, labels, ignore, positive=0.5, negative=0.4, force=True):
    rows, crowds = split_rows(truth, ignore)
    index, ignored = [-1] * len(ANCHORS), [False] * len(ANCHORS)
    best = {n: max(iou(truth[n], anchor) for anchor in ANCHORS) for n in rows}
    for a, anchor in enumerate(ANCHORS):
        overlaps = {n: iou(truth[n], anchor) for n in rows}
        forced = [n for n in rows if force and overlaps[n] > 0 and overlaps[n] >= best[n] - 1e-7]
        high = forced or [n for n in rows if overlaps[n] >= positive]
        if high:
            index[a] = max(high, key=lambda n: (overlaps[n], -n))
        near = [*overlaps.values(), *(iou(truth[n], anchor) for n in crowds)]
        ignored[a] = max(near, default=0) >= negative
    return index, finish(index, ignored, labels)


def loop_atss(truth, labels, ignore, count=9):
    rows, crowds = split_rows(truth, ignore)
    centres = (ANCHORS[:, :2] + ANCHORS[:, 2:]) / 2
    claims = [{} for _ in ANCHORS]
    for n in rows:
        middle = (truth[n, :2] + truth[n, 2:]) / 2
        candidates, start = [], 0
        for size in LEVELS:
            level = range(start, start + size)
            distance = {a: float(((centres[a] - middle) ** 2).sum()) for a in level}
            last = sorted(distance.values())[min(count, size) - 1]
            candidates += [a for a in level if distance[a] <= last]
            start += size
        overlaps = [iou(truth[n], ANCHORS[a]) for a in candidates]
        limit = np.mean(overlaps) + np.std(overlaps, ddof=1)
        for a, overlap in zip(candidates, overlaps, strict=True):
            if overlap >= limit and contains(truth[n], centres[a]):
                claims[a][n] = overlap
    index = [max(c, key=lambda n, c=c: (c[n], -n)) if c else -1 for c in claims]
    ignored = [any(contains(truth[n], point) for n in crowds) for point in centres]
    return index, finish(index, ignored, labels)


def loop_simota(scores, predicted, truth, labels, ignore, radius=2.5, count=10):
    rows, crowds = split_rows(truth, ignore)
    near, within = {}, {}
    for n in rows:
        cx, cy = (truth[n, :2] + truth[n, 2:]) / 2
        for a, (x, y) in enumerate(POINTS):
            within[n, a] = contains(truth[n], (x, y))
            reach = radius * STRIDES[a]
            near[n, a] = abs(x - cx) < reach and abs(y - cy) < reach
    claims = [{} for _ in POINTS]
    usable = [a for a in range(len(POINTS)) if any(within[n, a] or near[n, a] for n in rows)]
    for n in rows:
        overlaps = {a: iou(truth[n], predicted[a]) for a in usable}
        cost = {}
        for a in usable:
            entropy = 0.0
            for c in range(CLASSES):
                p = math.sqrt(scores[a, c])
                entropy -= math.log(p if c == labels[n] else 1 - p)
            cost[a] = entropy - 3 * math.log(overlaps[a] + 1e-8)
            cost[a] += 0 if within[n, a] and near[n, a] else 1e5
        number = max(1, int(sum(sorted(overlaps.values())[-count:])))
        for a in sorted(usable, key=cost.get)[:number]:
            claims[a][n] = cost[a]
    index = [min(c, key=c.get) if c else -1 for c in claims]
    ignored = [any(contains(truth[n], point) for n in crowds) for point in POINTS]
    return index, finish(index, ignored, labels)


def loop_cost(scores, predicted, truth, label):
    def centred(b):
        return np.array([(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]], "float64")

    shared, union, hull = areas(truth.astype("float64"), predicted.astype("float64"))
    giou = shared / union - (hull - union) / hull
    return 5 * np.abs(centred(truth) - centred(predicted)).sum() - 2 * giou - scores[label]


def compare(found, b, index, labels):
    np.testing.assert_array_equal(as_numpy(found.index)[b], index)
    np.testing.assert_array_equal(as_numpy(found.labels)[b], labels)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("force", [True, False])
def test_max_iou_is_the_plain_loop(seed, force):
    _, _, truth, labels, ignore = problem(seed)
    # Few anchors of this grid fit: the published 0.5 and 0.4 would leave none without force.
    rules = {"positive": 0.3, "negative": 0.2, "force": force}
    found = assignment.max_iou(ANCHORS, truth, labels, ignore, classes=CLASSES, **rules)
    for b in range(3):
        compare(found, b, *loop_max_iou(truth[b], labels[b], ignore[b], **rules))
    assert (as_numpy(found.index) >= 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_atss_is_the_plain_loop_with_the_unbiased_deviation(seed):
    _, _, truth, labels, ignore = problem(seed)
    found = assignment.atss(ANCHORS, LEVELS, truth, labels, ignore, classes=CLASSES)
    for b in range(3):
        compare(found, b, *loop_atss(truth[b], labels[b], ignore[b]))
    assert (as_numpy(found.index) >= 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_simota_is_the_plain_loop(seed):
    scores, predicted, truth, labels, ignore = problem(seed)
    found = assignment.simota(scores, predicted, POINTS, STRIDES, truth, labels, ignore)
    for b in range(3):
        compare(found, b, *loop_simota(scores[b], predicted[b], truth[b], labels[b], ignore[b]))
    assert (as_numpy(found.index) >= 0).any()


@pytest.mark.parametrize("seed", range(2))
def test_the_hungarian_matching_costs_least_and_is_one_to_one(seed):
    scipy_optimize = pytest.importorskip("scipy.optimize")
    scores, predicted, truth, labels, ignore = problem(seed)
    predicted, truth = predicted / 64, np.where(truth == -1, truth, truth / 64).astype("float32")
    found = assignment.hungarian(scores, predicted, truth, labels, ignore)
    for b in range(3):
        rows, _ = split_rows(truth[b], ignore[b])
        cost = np.array(
            [
                [
                    loop_cost(s, p, truth[b, n], labels[b, n])
                    for s, p in zip(scores[b], predicted[b], strict=True)
                ]
                for n in rows
            ]
        ).reshape(len(rows), len(POINTS))
        _, expected = scipy_optimize.linear_sum_assignment(cost)
        index = as_numpy(found.index)[b]
        assert [int(np.flatnonzero(index == n)[0]) for n in rows] == expected.tolist()
        assert (index >= 0).sum() == len(rows)


def run_all(scores, predicted, truth, labels, ignore):
    return {
        "max_iou": assignment.max_iou(ANCHORS, truth, labels, ignore, classes=CLASSES),
        "atss": assignment.atss(ANCHORS, LEVELS, truth, labels, ignore, classes=CLASSES),
        "simota": assignment.simota(scores, predicted, POINTS, STRIDES, truth, labels, ignore),
        "task_aligned": assignment.task_aligned(scores, predicted, POINTS, truth, labels, ignore),
        "hungarian": assignment.hungarian(scores, predicted, truth, labels, ignore),
    }


def test_numbers_that_are_not_finite_spoil_only_their_own_location():
    pytest.importorskip("scipy")
    scores, predicted, truth, labels, ignore = problem(0)
    predicted[:, 3], predicted[:, 9, 2] = np.nan, np.inf
    scores[:, 5] = np.nan
    for name, found in run_all(scores, predicted, truth, labels, ignore).items():
        index = as_numpy(found.index)
        assert (index[:2] >= 0).any() and (index[2] == -1).all(), name
        assert np.isfinite(as_numpy(found.quality)).all(), name
        if name in ("simota", "task_aligned", "hungarian"):
            assert (index[:, [3, 5]] == -1).all(), name


def test_a_box_with_more_bad_locations_than_it_takes_still_takes_good_ones():
    truth, labels = np.float32([[[0, 0, 64, 64]]]), np.int32([[0]])
    predicted = np.concatenate([POINTS - 12, POINTS + 12], axis=-1)[None]
    scores = np.full((1, len(POINTS), CLASSES), 0.5, "float32")
    bad = np.arange(0, 60)
    predicted[:, bad] = np.nan
    found = assignment.task_aligned(scores, predicted, POINTS, truth, labels, count=5)
    index = as_numpy(found.index)[0]
    assert (index[bad] == -1).all() and (index >= 0).sum() >= 5
    assert (as_numpy(found.quality)[0, index >= 0] > 0).all()


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_simota_knows_scores_that_a_sigmoid_has_rounded(score):
    _, predicted, truth, labels, ignore = problem(0)
    scores = np.full((3, len(POINTS), CLASSES), score, "float32")
    index = as_numpy(
        assignment.simota(scores, predicted, POINTS, STRIDES, truth, labels, ignore).index
    )
    for b in range(2):
        rows, _ = split_rows(truth[b], ignore[b])
        assert set(rows) == set(index[b][index[b] >= 0])


def test_truth_of_no_rows_is_all_padding():
    pytest.importorskip("scipy")
    scores, predicted, truth, labels, ignore = problem(0)
    nothing = run_all(scores, predicted, truth[:, :0], labels[:, :0], ignore[:, :0])
    padding = [np.full_like(x, -1) for x in (truth, labels)]
    for name, found in run_all(scores, predicted, *padding, np.zeros_like(ignore)).items():
        for a, b in zip(nothing[name], found, strict=True):
            np.testing.assert_array_equal(as_numpy(a), as_numpy(b), err_msg=name)


def test_more_padding_changes_nothing():
    pytest.importorskip("scipy")
    scores, predicted, truth, labels, ignore = problem(1)
    wide = [
        np.concatenate([x, np.full((3, 4, *x.shape[2:]), -1, x.dtype)], axis=1)
        for x in (truth, labels)
    ]
    more = np.concatenate([ignore, np.zeros((3, 4), bool)], axis=1)
    narrow = run_all(scores, predicted, truth, labels, ignore)
    for name, found in run_all(scores, predicted, *wide, more).items():
        for a, b in zip(found, narrow[name], strict=True):
            np.testing.assert_array_equal(as_numpy(a), as_numpy(b), err_msg=name)
            assert as_numpy(a).shape[:2] == (3, len(POINTS))
