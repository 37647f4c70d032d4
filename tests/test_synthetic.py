"""The synthetic data set: exact boxes, seeded, and read back like any other folder."""

import json

import numpy as np
import pytest

from boxloss import cli, datasets
from boxloss.datasets import synthetic


def test_a_box_is_tight_around_the_pixels_of_its_shape(monkeypatch):
    drawn = []

    def paint(rng, window, mask, kind):
        drawn.append(mask.copy())
        window[mask] = len(drawn)

    monkeypatch.setattr(synthetic, "paint", paint)
    monkeypatch.setattr(
        synthetic, "background", lambda rng, height, width: np.zeros((height, width, 3), "uint8")
    )
    for seed in range(20):
        drawn.clear()
        image, boxes, labels = synthetic.picture(np.random.default_rng(seed), 96)
        assert len(boxes) == len(labels) == len(drawn) >= 1
        for number, (box, mask) in enumerate(zip(boxes, drawn, strict=True), 1):
            assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()
            rows, columns = np.nonzero(image[..., 0] == number)
            x1, y1, x2, y2 = box
            assert (x2 - x1, y2 - y1) == mask.shape[::-1]
            assert x1 <= columns.min() and columns.max() < x2
            assert y1 <= rows.min() and rows.max() < y2
            assert len(rows) >= synthetic.VISIBLE * mask.sum()
        last = np.argwhere(image[..., 0] == len(boxes))  # nothing hides the last shape
        np.testing.assert_array_equal(boxes[-1], [*last.min(0)[::-1], *last.max(0)[::-1] + 1])


@pytest.mark.parametrize("kind", synthetic.CLASSES)
def test_shapes_have_the_size_asked_for(kind):
    rng = np.random.default_rng(0)
    for side in (9.0, 24.0, 71.5):
        assert abs(max(synthetic.shape(rng, kind, side).shape) - side) <= 2


@pytest.mark.parametrize("kind", synthetic.CLASSES)
def test_a_shape_stands_out_from_what_is_behind_it(kind):
    mask = np.ones((20, 20), bool)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        behind = synthetic.colour_of(rng, kind)  # the hardest: a shape of the same class
        window = np.broadcast_to(behind, (20, 20, 3)).astype("uint8")
        synthetic.paint(rng, window, mask, kind)
        assert np.linalg.norm(window.mean(axis=(0, 1)) - behind) > synthetic.CONTRAST - 30


def test_one_seed_gives_the_same_images_however_many_are_made(tmp_path):
    synthetic.write(tmp_path / "a", 2, seed=3, image_size=64, suffix=".png")
    synthetic.write(tmp_path / "b", 4, seed=3, image_size=64, suffix=".png")
    synthetic.write(tmp_path / "c", 2, seed=4, image_size=64, suffix=".png")
    first = [(tmp_path / folder / "images" / "000002.png").read_bytes() for folder in "abc"]
    assert first[0] == first[1] != first[2]


def test_sizes_are_drawn_between_the_two_given(tmp_path):
    dataset = synthetic.write(tmp_path, 12, image_size=40, max_size=160)
    sides = np.array([(record.width, record.height) for record in dataset.records])
    assert sides.min() >= 40 and sides.max() <= 160
    assert len(np.unique(sides)) > 12


def test_the_folder_is_read_back_as_it_was_made(tmp_path):
    made = synthetic.write(tmp_path, 5, image_size=64, classes=["triangle", "circle"])
    read = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    assert read.records == made.records
    assert read.class_names == ["circle", "triangle"]
    assert read.problems == []


def test_the_command_prints_one_json_object(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "x"), "--count", "3", "--image-size", "48"]
    assert cli.main(["make-synthetic", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["images"] == 3
    dataset = datasets.load(printed["image_folder"], printed["annotations"])
    assert printed["boxes"] == sum(len(record) for record in dataset.records)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"count": 0}, "`count` must be at least 1. Received: count=0"),
        ({"image_size": 8}, "`image_size` must be at least 32 pixels. Received: image_size=8"),
        (
            {"image_size": 64, "max_size": 40},
            "`max_size` must be at least `image_size`. Received: max_size=40",
        ),
        (
            {"classes": ["star"]},
            "`classes` must be some of 'circle', 'rectangle', 'triangle'. "
            "Received: classes=['star']",
        ),
        ({"suffix": ".gif"}, "`suffix` must be one of '.jpg', '.png'. Received: suffix='.gif'"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError) as error:
        synthetic.write(tmp_path, **{"count": 1, **arguments})
    assert str(error.value) == message


def test_the_sample_in_the_repository_is_what_the_command_makes(tmp_path, pytestconfig):
    sample = pytestconfig.rootpath / "data" / "sample"
    if not sample.is_dir():
        pytest.skip("the sample is part of the repository, not of the installed package")
    made = synthetic.write(tmp_path, 16, seed=0, image_size=128)
    read = datasets.load(sample / "images", sample / "annotations.json", strict=True)
    for ours, theirs in zip(made.records, read.records, strict=True):
        assert ours.file_name == theirs.file_name
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        # Another OpenCV may round the edge of a polygon otherwise.
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1)
    size = sum(path.stat().st_size for path in sample.rglob("*") if path.is_file())
    assert size < 1_000_000
