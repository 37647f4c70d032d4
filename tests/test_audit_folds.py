"""Folds: every image is predicted by a detector that did not see it."""

import json

import numpy as np
import pytest

from boxloss.audit import folds


def test_folds_are_even_repeatable_and_independent_of_order():
    names = [f"{i}.png" for i in range(11)]
    places = folds.fold_of(names, 3, seed=5)
    assert sorted(np.bincount(places)) == [3, 4, 4]
    mixed = names[::-1]
    assert dict(zip(mixed, folds.fold_of(mixed, 3, seed=5), strict=True)) == dict(
        zip(names, places, strict=True)
    )
    assert not np.array_equal(places, folds.fold_of(names, 3, seed=6))


@pytest.mark.parametrize("count", [1, 12, 2.5, True])
def test_a_senseless_number_of_folds_is_named(count):
    with pytest.raises(ValueError) as error:
        folds.fold_of([f"{i}.png" for i in range(11)], count)
    assert str(error.value) == (
        "`folds` must be a whole number from 2 to the number of images, 11. "
        f"Received: folds={count!r}"
    )


def test_images_of_a_group_share_a_fold():
    names = [f"drive{i % 7}_{i:03d}.png" for i in range(70)]
    places = folds.fold_of(names, 3, seed=5, group_by=r"^drive\d")
    of_drive = [set(places[[i for i in range(70) if i % 7 == drive]]) for drive in range(7)]
    assert all(len(found) == 1 for found in of_drive)
    assert sorted(np.bincount(places)) == [20, 20, 30]


def test_every_image_is_predicted_by_a_detector_that_did_not_see_it(tmp_path, monkeypatch):
    from boxloss.datasets import synthetic

    dataset = synthetic.write(tmp_path / "data", 9, image_size=64)
    learnt = {}

    def train(train_set, validation_set, options, out, **_):
        names = {record.file_name for record in train_set.records}
        assert {record.file_name for record in validation_set.records} <= names
        out.mkdir(parents=True)
        learnt[out] = names

    def evaluate(detector, held, out, loss):
        held = {record.file_name: record.image_id for record in held.records}
        assert not held.keys() & learnt[detector_of[-1]]
        box = {"category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
        return {}, [{"image_id": number, **box} for number in held.values()]

    detector_of = []
    monkeypatch.setattr(folds, "train", train)
    monkeypatch.setattr(folds, "load_detector", lambda path: detector_of.append(path.parent))
    monkeypatch.setattr(folds, "evaluate", evaluate)
    found = folds.out_of_sample(dataset, tmp_path / "out", 3)
    numbers = [record.image_id for record in dataset.records]
    assert sorted(row["image_id"] for row in found) == sorted(numbers)
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == found
    assert [len(names) for names in learnt.values()] == [6, 6, 6]
    # A second call trains nothing; other labels train anew.
    assert folds.out_of_sample(dataset, tmp_path / "out", 3) == found and len(learnt) == 3
    dataset.records[0].boxes[:] += 1
    folds.out_of_sample(dataset, tmp_path / "out", 3)
    assert len(learnt) == 5  # the fold without that image is still good
