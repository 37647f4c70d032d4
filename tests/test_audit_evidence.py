"""What speaks for a label and against it, and how rare that is, by hand."""

import numpy as np
import pytest
from audit_scenes import coco, evidence_of, results

from boxloss import evaluation
from boxloss.audit import scores
from boxloss.audit.evidence import assign, gather, uncovered


def test_a_shifted_box_keeps_the_detection_of_its_own_object():
    # Two objects side by side; the left box is drawn 30 too far right, upon the right object.
    truth = coco([(0, 1, 40, 10, 50, 40), (0, 1, 62, 10, 50, 40)])
    found = results([(0, 1, 0.9, 10, 10, 50, 40), (0, 1, 0.9, 60, 10, 50, 40)])
    evidence = evidence_of(truth, found)
    # Each box alone would choose the right detection: IoU 3/7 against 1/4 for the left box.
    assert evidence.owner.tolist() == [0, 1]
    np.testing.assert_allclose(evidence.iou, [20 / 80, 48 / 52])
    np.testing.assert_allclose(evidence.errors[0], [-30 / 50, 0, -30 / 50, 0])
    np.testing.assert_allclose(evidence.support, 0.9 * np.array([30 / 70, 48 / 52]))


@pytest.mark.parametrize("score, width, owner", [(0.1, 34, 0), (0.5, 34, 1)])
def test_a_vague_detection_owns_a_box_only_where_it_fits_much_better(score, width, owner):
    truth = coco([(0, 1, 0, 0, 40, 20)])
    found = results([(0, 1, 0.9, 0, 0, 20, 20), (0, 1, score, 0, 0, width, 20)])
    # IoU 0.5 and 0.85; fourth roots of 0.9, 0.5 and 0.1: 0.974, 0.841 and 0.562, so 0.487 stands
    # against 0.715 or 0.478.
    assert evidence_of(truth, found).owner.tolist() == [owner]


def test_one_to_one_is_the_best_of_all_pairings():
    import itertools

    rng = np.random.default_rng(3)
    for _ in range(20):
        value = np.where(rng.uniform(size=(3, 4)) < 0.3, 0, rng.uniform(size=(3, 4)))
        best = max(
            sum(value[row, column] for row, column in enumerate(columns))
            for columns in itertools.permutations(range(4), 3)
        )
        rows, columns = assign(value)
        assert value[rows, columns].sum() == pytest.approx(best)
        assert (value[rows, columns] > 0).all()


def test_support_is_kept_apart_by_class():
    truth = coco([(0, 1, 0, 0, 40, 20)])
    found = results([(0, 3, 0.8, 0, 0, 40, 20), (0, 1, 0.5, 0, 0, 20, 20), (1, 1, 0.9, 0, 0, 9, 9)])
    evidence = evidence_of(truth, found)
    assert evidence.other_class.tolist() == [0.8] and evidence.own_class.tolist() == [0.25]
    assert evidence.other_label.tolist() == [0] and evidence.owner.tolist() == [0]
    assert evidence.owned.tolist() == [True, False, False]


def test_errors_are_in_sides_of_both_boxes():
    truth = coco([(0, 1, 100, 100, 40, 20)])
    evidence = evidence_of(truth, results([(0, 1, 0.9, 90, 105, 90, 20)]))
    # Widths 40 and 90: geometric mean 60; heights 20 and 20.
    np.testing.assert_allclose(evidence.errors, [[-10 / 60, 5 / 20, 40 / 60, 5 / 20]])


def test_a_neighbour_is_the_other_box_of_the_image_that_overlaps_most():
    boxes = [(0, 1, 0, 0, 40, 20), (0, 3, 10, 0, 40, 20), (0, 1, 30, 0, 40, 20), (1, 1, 0, 0, 9, 9)]
    evidence = evidence_of(coco(boxes), results([(1, 1, 0.9, 0, 0, 9, 9)]))
    assert evidence.neighbour.tolist() == [1, 0, 1, -1]
    np.testing.assert_allclose(evidence.neighbour_iou, [3 / 5, 3 / 5, 1 / 3, 0])


def test_places_without_a_box_are_counted_once_and_not_under_a_crowd():
    truth = coco([(0, 1, 0, 0, 50, 50), (1, 1, 0, 0, 200, 200), (1, 1, 300, 200, 40, 40)])
    truth["annotations"][1]["iscrowd"] = 1
    found = results(
        [
            (0, 1, 0.9, 0, 0, 50, 50),  # owned
            (0, 1, 0.8, 0, 0, 50, 40),  # not owned, lies on the box: IoU 4/5
            (0, 1, 0.6, 200, 100, 50, 40),  # a place without a box
            (0, 3, 0.5, 202, 100, 50, 40),  # the same place
            (0, 1, 0.7, 25, 0, 100, 50),  # IoU 1/5 with the box
            (0, 1, 0.4, 0, 20, 50, 50),  # IoU 3/7 with it
            (1, 1, 0.9, 50, 50, 40, 40),  # in the crowd
            (1, 1, 0.9, 320, 200, 40, 40),  # owned, though IoU 1/3 only
        ]
    )
    opened = evaluation.Truth.of(truth)
    detections = evaluation.Detections.of(found, opened)
    places, values = uncovered(detections, gather(opened, detections))
    assert places.tolist() == [4, 2, 5]
    np.testing.assert_allclose(values, [0.7, 0.6, 0.4 * (1.5 - 6 / 7)])


@pytest.mark.parametrize(
    "errors, expected",
    [
        ([0.3, -0.2, 0.3, -0.2], {"shift": 1.0, "resize": 0.0, "edge": 0.09 / 0.26}),
        ([-0.2, -0.2, 0.2, 0.2], {"shift": 0.0, "resize": 1.0, "edge": 0.25}),
        ([0.0, 0.0, 0.0, 0.4], {"shift": 0.5, "resize": 0.25, "edge": 1.0}),
    ],
)
def test_each_kind_explains_its_own_signed_errors(errors, expected):
    shares = scores.shares(np.array([errors]))
    assert {kind: share.item() for kind, share in shares.items()} == pytest.approx(expected)


def test_surprise_is_in_decades_of_ordinary_boxes():
    values = np.arange(101.0)  # median 50, 80 % quantile 80: every 30 more is 2.5 times as rare
    decades = scores.surprise(values)
    assert decades[50] == pytest.approx(np.log10(2)) and decades[80] == pytest.approx(np.log10(5))
    assert decades[100] == pytest.approx(np.log10(2) + 5 / 3 * np.log10(2.5))
    assert decades[0] == 0 and (np.diff(decades) >= 0).all()


def test_what_one_box_in_twenty_reaches_is_no_more_surprising_than_one_in_four_hundred():
    values = np.linspace(0, 1, 100)
    values[-5:] = 1e9
    np.testing.assert_allclose(scores.surprise(values)[-5:], np.log10(400))


def test_surprise_of_what_few_boxes_have_counts_those_boxes():
    values = np.zeros(999)
    values[[3, 500, 700]] = 0.4, 0.8, 0.6
    decades = scores.surprise(values)
    assert np.count_nonzero(decades) == 3
    assert decades[3] == pytest.approx(-np.log10(4 / 1000) + 0.4 / 0.6 * np.log10(2))


def test_a_few_wrong_boxes_hardly_move_the_scale():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=2000)
    with_errors = np.concatenate([values, np.full(100, 1e6)])
    order = np.argsort(values)
    before, after = scores.surprise(values)[order], scores.surprise(with_errors)[:2000][order]
    # An exponential tail is what it assumes: e^-4.6 is one in a hundred, two decades.
    at = np.searchsorted(values[order], 4.6)
    assert before[at] == pytest.approx(2, abs=0.15)
    # One wrong box in twenty moves the 80 % quantile to where 79 % were.
    assert after[at] == pytest.approx(before[at], abs=0.35)


def test_sure_detections_count_more_than_vague_ones_for_the_same_error():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.1, 1, 1000)
    errors = rng.normal(0, 1, (1000, 4)) * (0.3 - 0.25 * confidence)[:, None]
    errors[:2], confidence[:2] = [[0.3, 0, 0, 0]] * 2, (0.15, 0.95)
    evidence = evidence_of(coco([(0, 1, 0, 0, 9, 9)]), results([(0, 1, 0.9, 0, 0, 9, 9)]))
    evidence = evidence._replace(errors=errors, owner=np.zeros(1000, int))
    size = scores.move_size(evidence, confidence, np.ones(1000, bool))
    assert size[1] > 1.5 * size[0] > 0
