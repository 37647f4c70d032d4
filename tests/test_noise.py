"""Label errors of known kinds: what is altered, by how much, and that nothing else is."""

import copy

import numpy as np
import pytest

from boxloss.datasets import noise


def coco(images=12, boxes=10, seed=0):
    """Boxes in the middle of wide images, so that no altered box reaches a border."""
    rng = np.random.default_rng(seed)
    truth = {
        "info": {"kept": True},
        "images": [{"id": 7 * i + 3, "width": 1000, "height": 900} for i in range(images)],
        "categories": [{"id": 2, "name": "a"}, {"id": 5, "name": "b"}, {"id": 9, "name": "c"}],
        "annotations": [],
    }
    for i in range(images * boxes):
        size = rng.uniform(20, 80, 2)
        truth["annotations"].append(
            {
                "id": 100 + i,
                "image_id": 7 * (i % images) + 3,
                "category_id": int(rng.choice([2, 5, 9])),
                "bbox": [*rng.uniform(200, 600, 2), *size],
                "area": float(size.prod()),
                "attribute": "kept",
            }
        )
    return truth


def changes_of(kind, fraction=0.5, seed=4, truth=None):
    altered, changes = noise.alter(truth or coco(), kind, fraction, seed)
    assert {change.kind for change in changes} == {kind}
    return altered, changes


def sides(change):
    """How far x1, y1, x2, y2 moved, in widths and heights of the box before."""
    (x, y, w, h), (u, v, s, t) = change.before["bbox"], change.after["bbox"]
    return np.array([(u - x) / w, (v - y) / h, (u + s - x - w) / w, (v + t - y - h) / h])


def iou(a, b):
    width = max(0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    height = max(0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def test_a_shift_moves_opposite_sides_alike_by_20_to_50_percent():
    moves = np.array([sides(change) for change in changes_of("shift")[1]])
    np.testing.assert_allclose(moves[:, :2], moves[:, 2:], atol=1e-9)
    far = np.hypot(moves[:, 0], moves[:, 1])
    assert 0.2 <= far.min() < 0.23 and 0.47 < far.max() <= 0.5
    assert {(x > 0, y > 0) for x, y in moves[:, :2]} == {(a, b) for a in (0, 1) for b in (0, 1)}


def test_a_resize_keeps_the_centre_and_the_shape():
    moves = np.array([sides(change) for change in changes_of("resize")[1]])
    np.testing.assert_allclose(moves[:, :2], -moves[:, 2:], atol=1e-9)
    np.testing.assert_allclose(moves[:, 0], moves[:, 1], atol=1e-9)
    scales = np.round(1 + 2 * moves[:, 2], 6)
    assert set(scales) == {0.55, 1.7}


def test_an_edge_moves_alone():
    moves = np.array([sides(change) for change in changes_of("edge")[1]])
    moved = np.abs(moves) > 1e-9
    assert (moved.sum(axis=1) == 1).all() and moved.any(axis=0).all()
    far = np.abs(moves).max(axis=1)
    assert far.min() >= 0.2 and far.max() <= 0.5
    assert (moves[moved] > 0).any() and (moves[moved] < 0).any()


@pytest.mark.parametrize("kind", ["swap", "flip"])
def test_a_swap_changes_the_class_and_not_the_box(kind):
    _, changes = changes_of(kind)
    for change in changes:
        assert change.after["category_id"] in {2, 5, 9} - {change.before["category_id"]}
        assert {**change.after, "category_id": 0} == {**change.before, "category_id": 0}


@pytest.mark.parametrize("kind", ["missing", "drop"])
def test_missing_boxes_are_gone_and_the_others_stay(kind):
    truth = coco()
    altered, changes = changes_of(kind, truth=truth)
    gone = {change.annotation_id for change in changes}
    assert len(changes) == 60
    assert [e for e in truth["annotations"] if e["id"] not in gone] == altered["annotations"]
    assert all(change.after is None and change.before["id"] in gone for change in changes)


def test_spurious_boxes_lie_where_no_box_is():
    truth = coco()
    altered, changes = changes_of("spurious", truth=truth)
    assert altered["annotations"][:120] == truth["annotations"]
    assert altered["annotations"][120:] == [change.after for change in changes]
    sizes = {tuple(np.round(entry["bbox"][2:], 6)) for entry in truth["annotations"]}
    for change in changes:
        assert change.before is None and change.annotation_id > 219
        others = [e for e in truth["annotations"] if e["image_id"] == change.image_id]
        assert max(iou(change.after["bbox"], e["bbox"]) for e in others) <= 0.1
        assert tuple(np.round(change.after["bbox"][2:], 6)) in sizes
    assert len({change.annotation_id for change in changes}) == 60


def test_a_box_drawn_around_another_has_an_iou_of_0_4_to_0_7_with_it():
    _, changes = changes_of("shift_normal", fraction=1.0)
    overlaps = np.array([iou(change.before["bbox"], change.after["bbox"]) for change in changes])
    assert 0.4 <= overlaps.min() and overlaps.max() < 0.7 and len(overlaps) == 120
    # Centre and size move independently: all four sides differ, by either sign.
    moves = np.array([sides(change) for change in changes])
    assert (np.abs(moves) > 1e-6).all() and ((moves > 0).mean(axis=0) > 0.3).all()


def test_a_spawned_box_may_lie_upon_others():
    truth = coco(images=1, boxes=100)
    _, spawned = changes_of("spawn", truth=truth)
    _, spurious = changes_of("spurious", truth=truth)

    def most(changes):
        return [max(iou(c.after["bbox"], e["bbox"]) for e in truth["annotations"]) for c in changes]

    assert np.mean(np.array(most(spawned)) > 0.1) > np.mean(np.array(most(spurious)) > 0.1)


def test_a_duplicate_lies_almost_upon_its_model():
    truth = coco()
    _, changes = changes_of("duplicate", truth=truth)
    for change in changes:
        same = [
            e
            for e in truth["annotations"]
            if (e["image_id"], e["category_id"]) == (change.image_id, change.after["category_id"])
        ]
        # Each edge within 5 % of the size: at worst 0.9 * 0.9 of the area is left.
        best = max(iou(change.after["bbox"], e["bbox"]) for e in same)
        assert 0.8 < best < 1


def test_the_given_set_stays_and_a_seed_repeats():
    truth = coco()
    before = copy.deepcopy(truth)
    first = noise.alter(truth, noise.KINDS, 0.3, seed=1)
    assert truth == before and first[0]["info"] == {"kept": True}
    assert first == noise.alter(truth, noise.KINDS, 0.3, seed=1)
    assert first[1] != noise.alter(truth, noise.KINDS, 0.3, seed=2)[1]
    first[0]["annotations"][0]["bbox"][0] = -5
    assert truth == before


def test_kinds_take_turns_and_no_box_is_altered_twice():
    _, changes = noise.alter(coco(), noise.KINDS, 70 / 120, seed=3)
    assert [change.kind for change in changes[:7]] == list(noise.KINDS)
    assert len(changes) == 70
    touched = [change.before["id"] for change in changes if change.before]
    assert len(set(touched)) == len(touched) == 50


@pytest.mark.parametrize("fraction, count", [(0.05, 6), (1.0, 120), (1e-6, 1)])
def test_a_fraction_is_of_the_boxes_that_count(fraction, count):
    truth = coco()
    crowd = {"id": 1, "image_id": 3, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    flat = {"id": 2, "image_id": 3, "category_id": 2, "bbox": [0, 0, 9, 0]}
    truth["annotations"] += [crowd, flat]
    altered, changes = noise.alter(truth, "missing", fraction)
    assert len(changes) == count
    assert altered["annotations"][-2:] == [crowd, flat]


def test_boxes_are_cut_at_the_border_and_still_differ():
    truth = coco()
    for image in truth["images"]:
        image.update(width=100, height=90)
    for entry in truth["annotations"]:
        entry["bbox"] = [0, 0, 100, 90]  # the whole image: many moves would be cut back to it
    for kind in ("shift", "resize", "edge"):
        altered, changes = noise.alter(truth, kind, 1.0)
        for change in changes:
            x, y, w, h = change.after["bbox"]
            assert min(x, y) >= 0 and w > 0 and h > 0
            assert x + w <= 100 + 1e-9 and y + h <= 90 + 1e-9
            assert iou(change.after["bbox"], change.before["bbox"]) < 0.95
            assert change.after["area"] == pytest.approx(w * h)


def test_a_dataset_is_taken_as_well(tmp_path):
    from boxloss.datasets import synthetic

    dataset = synthetic.write(tmp_path, 6, image_size=64)
    altered, changes = noise.alter(dataset, "shift", 0.5)
    assert len(altered["annotations"]) == sum(len(record) for record in dataset.records)
    assert changes


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"kinds": "shfit"},
            "`kinds` must be some of 'shift', 'resize', 'edge', 'swap', 'missing', 'spurious', "
            "'duplicate', 'drop', 'flip', "
            "'shift_normal', 'spawn'. Received: kinds='shfit'",
        ),
        (
            {"fraction": 0},
            "`fraction` must be a number above 0 and at most 1. Received: fraction=0",
        ),
        (
            {"fraction": True},
            "`fraction` must be a number above 0 and at most 1. Received: fraction=True",
        ),
        (
            {"truth": [1]},
            "`truth` must be a DataSet or a COCO dict with the lists 'images', 'annotations' and "
            "'categories'. Received: list without 'images'",
        ),
        (
            {"truth": {"images": [], "annotations": [], "categories": []}},
            "`truth` must hold at least one box that counts. Received: none",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as error:
        noise.alter(**{"truth": coco(), **arguments})
    assert str(error.value) == message


@pytest.mark.parametrize(
    "entry, message",
    [
        (
            {"bbox": [1, 2, float("nan"), 4]},
            "`truth`: annotation 100 must have a bbox of four finite numbers. "
            "Received: bbox=[1, 2, nan, 4]",
        ),
        (
            {"image_id": 4},
            "`truth`: annotation 100 must have the id of an image. Received: image_id=4",
        ),
    ],
)
def test_a_broken_annotation_is_named(entry, message):
    truth = coco()
    truth["annotations"][0].update(entry)
    with pytest.raises(ValueError) as error:
        noise.alter(truth)
    assert str(error.value) == message


def test_one_class_cannot_be_swapped():
    truth = coco()
    truth["categories"] = truth["categories"][:1]
    with pytest.raises(ValueError, match="at least two categories to swap them. Received: 1$"):
        noise.alter(truth, "swap")
