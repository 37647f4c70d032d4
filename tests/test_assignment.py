"""Assignment against plain loops over one image, one box and one location at a time."""

import numpy as np
import pytest

from boxloss import assignment, coders
from boxloss.tensors import ops

POINTS, STRIDES = coders.grid(64, 96, (8, 16, 32))
CLASSES = 3


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return shared / (area_a + area_b - shared)


def holds(box, point, smallest):
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    sides = (max(box[2] - box[0], smallest), max(box[3] - box[1], smallest))
    return all(abs(point[k] - middle[k]) < sides[k] / 2 for k in range(2))


def task_aligned_by_loops(
    scores, boxes, points, truth, labels, ignore, count, alpha, beta, smallest
):
    """One image: index (A,), quality (A,), ignored (A,), in float64."""
    metric, overlap, selected = {}, {}, set()
    for n in range(len(truth)):
        if labels[n] < 0 or ignore[n]:
            continue
        inside = [a for a in range(len(points)) if holds(truth[n], points[a], smallest)]
        for a in inside:
            overlap[n, a] = iou(truth[n], boxes[a])
            metric[n, a] = scores[a][labels[n]] ** alpha * overlap[n, a] ** beta
        best = sorted(inside, key=lambda a, n=n: -metric[n, a])[:count]
        selected |= {(n, a) for a in best}
    index = np.full(len(points), -1)
    quality = np.zeros(len(points))
    for a in range(len(points)):
        claims = [n for n in range(len(truth)) if (n, a) in selected]
        if claims:
            index[a] = max(claims, key=lambda n, a=a: overlap[n, a])
    for n in range(len(truth)):
        mine = np.flatnonzero(index == n)
        top = max((metric[n, a] for a in mine), default=0.0)
        for a in mine:
            quality[a] = metric[n, a] * max(overlap[n, b] for b in mine) / top if top else 0.0
    crowds = [n for n in range(len(truth)) if ignore[n] and labels[n] >= 0]
    ignored = [any(holds(truth[n], point, smallest) for n in crowds) for point in points]
    return index, quality, np.array(ignored)


def batch(seed=0, images=3, rows=6):
    """Random heads and truth: 3, 2 and 0 boxes per image, two crowds, the rest padding."""
    rng = np.random.default_rng(seed)
    count = len(POINTS)
    truth = np.full((images, rows, 4), -1.0, "float32")
    labels = np.full((images, rows), -1, "int32")
    ignore = np.zeros((images, rows), bool)
    for i, boxes in enumerate((4, 2, 1)):
        corner = rng.uniform(0, (56, 32), (boxes, 2))
        truth[i, :boxes] = np.concatenate([corner, corner + rng.uniform(9, 40, (boxes, 2))], axis=1)
        labels[i, :boxes] = rng.integers(0, CLASSES, boxes)
    truth[0, 1] = truth[0, 0] + (3, -2, 5, 4)  # two boxes that claim the same locations
    ignore[0, 3] = ignore[2, 0] = True
    reach = rng.uniform(4, 30, (images, count, 4))
    boxes = np.concatenate([POINTS - reach[..., :2], POINTS + reach[..., 2:]], axis=-1)
    scores = rng.uniform(0.01, 0.9, (images, count, CLASSES))
    return scores.astype("float32"), boxes.astype("float32"), truth, labels, ignore


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 10, "alpha": 0.5, "beta": 6.0, "smallest": 0.0},
        {"count": 3, "alpha": 1.0, "beta": 2.0, "smallest": 24.0},
        {"count": 500, "alpha": 0.7, "beta": 1.5, "smallest": 0.0},
    ],
    ids=["yolov8", "few", "everything"],
)
def test_task_aligned_assignment_equals_plain_loops(arguments):
    scores, boxes, truth, labels, ignore = batch()
    found = assignment.task_aligned(scores, boxes, POINTS, truth, labels, ignore, **arguments)
    found = [ops.convert_to_numpy(field) for field in found]
    for i in range(len(truth)):
        index, quality, ignored = task_aligned_by_loops(
            scores[i], boxes[i], POINTS, truth[i], labels[i], ignore[i], **arguments
        )
        np.testing.assert_array_equal(found[0][i], index)
        np.testing.assert_allclose(found[3][i], quality, rtol=2e-5, atol=1e-7)
        expected_boxes = np.where((index >= 0)[:, None], truth[i][index], -1)
        np.testing.assert_array_equal(found[1][i], expected_boxes)
        rest = np.where(ignored, -1, CLASSES)
        np.testing.assert_array_equal(found[2][i], np.where(index >= 0, labels[i][index], rest))
    assert (found[0] >= 0).sum() > 10
    assert (found[2] == -1).any()


def test_padding_rows_change_nothing():
    scores, boxes, truth, labels, ignore = batch()
    wide = [np.concatenate([x, x[:, -1:], x[:, -1:]], axis=1) for x in (truth, labels, ignore)]
    a = assignment.task_aligned(scores, boxes, POINTS, truth, labels, ignore)
    b = assignment.task_aligned(scores, boxes, POINTS, *wide)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_images_of_a_batch_do_not_see_each_other():
    scores, boxes, truth, labels, ignore = batch()
    whole = assignment.task_aligned(scores, boxes, POINTS, truth, labels, ignore)
    for i in range(len(truth)):
        alone = assignment.task_aligned(
            *(x[i : i + 1] for x in (scores, boxes)),
            POINTS,
            *(x[i : i + 1] for x in (truth, labels, ignore)),
        )
        for one, other in zip(whole, alone, strict=True):
            one, other = ops.convert_to_numpy(one)[i], ops.convert_to_numpy(other)[0]
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_ties_take_no_more_than_their_number_and_equal_boxes_go_to_the_first():
    truth = np.array([[[4.0, 4.0, 60.0, 60.0]] * 2], "float32")
    labels = np.zeros((1, 2), "int32")
    boxes = np.tile(truth[:, :1] + 2, (1, len(POINTS), 1))
    scores = np.full((1, len(POINTS), 1), 0.5, "float32")
    found = assignment.task_aligned(scores, boxes, POINTS, truth, labels, count=3)
    index = ops.convert_to_numpy(found.index)
    assert (index == 0).sum() == 3 and (index == 1).sum() == 0
    overlap = iou(truth[0, 0], boxes[0, 0])
    quality = ops.convert_to_numpy(found.quality)
    np.testing.assert_allclose(quality[index == 0], overlap, rtol=1e-6)


def test_a_box_smaller_than_the_grid_still_gets_a_location():
    truth = np.array([[[20.5, 20.5, 22.0, 22.5]]], "float32")  # between all points
    boxes = np.concatenate([POINTS - 9, POINTS + 9], axis=-1)[None]
    scores = np.full((1, len(POINTS), 1), 0.5, "float32")
    labels = np.zeros((1, 1), "int32")
    without = assignment.task_aligned(scores, boxes, POINTS, truth, labels)
    with_floor = assignment.task_aligned(scores, boxes, POINTS, truth, labels, smallest=8.0)
    assert ops.convert_to_numpy(without.index).max() == -1
    assert ops.convert_to_numpy(with_floor.index).max() == 0


def test_nothing_larger_than_boxes_by_locations_is_made():
    scores, boxes, truth, labels, ignore = batch()
    tf = pytest.importorskip("tensorflow")
    if ops.backend() != "tensorflow":
        pytest.skip("reads a TensorFlow graph")
    largest = 0
    limit = truth.shape[0] * truth.shape[1] * len(POINTS)

    def look(graph):
        nonlocal largest
        for operation in graph.get_operations():
            for output in operation.outputs:
                largest = max(largest, output.shape.num_elements() or 0)

    images, rows = labels.shape
    settled = (np.ones((images, rows, 5), "float32"), np.ones((images, rows, 5), "int32"), boxes)
    for part, inputs in (
        ("_affinity", (scores, boxes, POINTS, truth, labels, ignore, 0.5, 6.0, 8.0)),
        ("_settle", (*settled, POINTS, truth, ignore, 8.0)),
    ):
        function = getattr(assignment.aligned, part).__wrapped__
        tensors = [tf.constant(x) if isinstance(x, np.ndarray) else x for x in inputs]
        look(tf.function(function, autograph=False).get_concrete_function(*tensors).graph)
    assert 0 < largest <= limit


def test_grid_lists_cell_centres_level_by_level():
    points, strides = coders.grid(32, 64, (16, 32))
    assert strides.tolist() == [16] * 8 + [32] * 2
    assert points[:5].tolist() == [[8, 8], [24, 8], [40, 8], [56, 8], [8, 24]]
    assert points[8:].tolist() == [[16, 16], [48, 16]]


def test_distances_and_boxes_are_inverse():
    rng = np.random.default_rng(0)
    distances = rng.uniform(-3, 30, (2, len(POINTS), 4)).astype("float32")
    boxes = coders.distances_to_boxes(distances, POINTS)
    left, top, right, bottom = distances[1, 7]
    x, y = POINTS[7]
    expected = [x - left, y - top, x + right, y + bottom]
    np.testing.assert_allclose(ops.convert_to_numpy(boxes)[1, 7], expected, rtol=1e-6)
    back = ops.convert_to_numpy(coders.boxes_to_distances(boxes, POINTS))
    np.testing.assert_allclose(back, distances, atol=1e-4)


def test_expected_bins_is_the_mean_of_each_side():
    logits = np.full((1, 4 * 5), -50.0, "float32")
    for side, tick in enumerate((0, 2, 4, 3)):
        logits[0, 5 * side + tick] = 50.0
    logits[0, 5 * 3 + 2] = 50.0  # the last side is half at 2 and half at 3
    found = ops.convert_to_numpy(coders.expected_bins(logits, 5))
    np.testing.assert_allclose(found, [[0, 2, 4, 2.5]], atol=1e-6)
