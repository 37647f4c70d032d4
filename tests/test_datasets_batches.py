"""Batches: fixed shapes, -1 at padding, and an order that depends on seed, epoch and position."""

import concurrent.futures
from dataclasses import replace

import cv2
import numpy as np
import pytest

from boxloss import datasets
from boxloss.datasets import synthetic

SIZE = 64


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    made = synthetic.write(
        tmp_path_factory.mktemp("made"), 10, seed=2, image_size=40, max_size=100, suffix=".png"
    )
    crowd, odd = made.records[3], made.records[4]
    made.records[3] = replace(crowd, iscrowd=np.ones(len(crowd), bool))
    made.records[4] = replace(odd, difficult=np.ones(len(odd), bool))
    return made


def everything(batches):
    """All images, boxes, labels, ignore and index of an epoch, in order."""
    parts = [batches[i] for i in range(len(batches))]
    values = {key: np.concatenate([y[key] for _, y in parts]) for key in parts[0][1]}
    return np.concatenate([x for x, _ in parts]), values


def test_shapes_and_types_are_those_of_the_contract(dataset):
    batches = datasets.Batches(dataset, 4, SIZE)
    most = max(len(record) for record in dataset.records)
    assert len(batches) == 3
    for index, rows in enumerate((4, 4, 2)):
        x, y = batches[index]
        assert x.shape == (rows, SIZE, SIZE, 3) and x.dtype == np.float32
        assert {key: (value.shape, str(value.dtype)) for key, value in y.items()} == {
            "boxes": ((rows, most, 4), "float32"),
            "labels": ((rows, most), "int32"),
            "ignore": ((rows, most), "bool"),
            "number": ((rows, most), "int32"),
            "index": ((rows,), "int32"),
        }


@pytest.mark.parametrize("cache_bytes", [0, 30_000, 2**29])
def test_images_are_letterboxed_and_padding_is_minus_one(dataset, cache_bytes):
    batches = datasets.Batches(dataset, 4, SIZE, cache_bytes=cache_bytes)
    for _ in range(2):  # read, then from memory
        x, y = everything(batches)
        for i, record in enumerate(dataset.records):
            image = datasets.read_image(record.path)
            square, boxes, _ = datasets.letterbox(image, record.boxes, SIZE)
            count = len(record)
            np.testing.assert_array_equal(x[i], square)
            np.testing.assert_allclose(y["boxes"][i, :count], boxes, atol=1e-5)
            np.testing.assert_array_equal(y["labels"][i, :count], record.labels)
            assert (y["boxes"][i, count:] == -1).all() and (y["labels"][i, count:] == -1).all()
            assert not y["ignore"][i, count:].any()
            assert (y["ignore"][i, :count] == (i in (3, 4))).all()
        assert y["index"].tolist() == list(range(10))
    kept = sum(image.nbytes for image in batches._cache.images.values())
    assert kept <= cache_bytes and (kept > 0) == (cache_bytes > 0)


@pytest.mark.parametrize("mosaic", [None, 0.0, 1.0], ids=["plain", "moved", "mosaic"])
def test_every_box_keeps_its_number_in_the_data_set(dataset, mosaic):
    augment = False if mosaic is None else datasets.Augmentation(mosaic=mosaic)
    batches = datasets.Batches(dataset, 4, SIZE, augment=augment, shuffle=True)
    labels = np.concatenate([record.labels for record in dataset.records])
    image = np.repeat(np.arange(10), [len(record) for record in dataset.records])
    crowded = np.isin(image, (3, 4))
    boxes = np.concatenate([record.boxes for record in dataset.records])
    shapes = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    epochs = []
    for batches.epoch in range(1 if mosaic is None else 6):
        epochs.append(everything(batches)[1])
    y = {key: np.concatenate([epoch[key] for epoch in epochs]) for key in epochs[0]}
    real = y["labels"] >= 0
    assert (y["number"][~real] == -1).all() and (y["number"][real] >= 0).all()
    number = y["number"][real]
    np.testing.assert_array_equal(y["labels"][real], labels[number])
    assert y["ignore"][real][crowded[number]].all()
    own = np.repeat(y["index"], real.sum(axis=1)) == image[number]
    if mosaic == 1.0:
        assert not own.all() and set(image[number]) >= set(y["index"])
        return
    assert own.all()
    wide = y["boxes"][real][:, 2:] - y["boxes"][real][:, :2]
    inside = (y["boxes"][real] > 0).all(axis=1) & (y["boxes"][real] < SIZE).all(axis=1)
    np.testing.assert_allclose((wide[:, 0] / wide[:, 1])[inside], shapes[number][inside], rtol=0.02)
    if mosaic is None:
        assert sorted(number) == list(range(len(labels)))


def test_padding_is_minus_one_after_augmentation_too(dataset):
    batches = datasets.Batches(dataset, 5, SIZE, augment=True, shuffle=True)
    for _ in range(5):
        _, y = everything(batches)
        real = y["labels"] >= 0
        assert real.any(axis=1).sum() >= 5 and not real.all()
        assert (y["boxes"][~real] == -1).all() and (y["labels"][~real] == -1).all()
        assert not y["ignore"][~real].any()
        width_height = y["boxes"][real][:, 2:] - y["boxes"][real][:, :2]
        assert (width_height > 0).all()
        assert y["boxes"][real].min() >= 0 and y["boxes"][real].max() <= SIZE
        batches.on_epoch_end()


@pytest.mark.parametrize("augment", [False, True])
def test_order_and_augmentation_depend_on_seed_epoch_and_position_alone(dataset, augment):
    def batches(seed=0):
        return datasets.Batches(dataset, 3, SIZE, augment=augment, shuffle=True, seed=seed)

    straight = batches()
    epochs = []
    for _ in range(3):
        epochs.append(everything(straight))
        straight.on_epoch_end()
    resumed = batches()
    resumed.epoch = 2
    x, y = resumed[3]  # the last batch first, as after a kill
    np.testing.assert_array_equal(x, epochs[2][0][9:])
    np.testing.assert_array_equal(y["boxes"], epochs[2][1]["boxes"][9:])
    orders = [tuple(y["index"]) for _, y in epochs]
    assert len(set(orders)) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert tuple(everything(batches(seed=1))[1]["index"]) != orders[0]


def test_augmentation_can_be_replaced_between_epochs(dataset):
    batches = datasets.Batches(dataset, 10, SIZE, augment=True)
    x, y = batches[0]
    batches.augment = False
    plain_x, plain_y = batches[0]
    assert not np.array_equal(x, plain_x)
    assert plain_y["boxes"].shape == y["boxes"].shape  # one N for all of training
    np.testing.assert_array_equal(plain_x, datasets.Batches(dataset, 10, SIZE)[0][0])


def test_of_too_many_boxes_the_largest_are_used(dataset, capsys):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 20, (10_000, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 15, (10_000, 2))], axis=1)
    none = np.zeros(10_000, bool)
    crowded = replace(
        dataset.records[0],
        boxes=boxes.astype("float32"),
        labels=np.zeros(10_000, "int64"),
        iscrowd=none,
        ignore=none,
        difficult=none,
    )
    records = [crowded, *dataset.records[1:]]
    batches = datasets.Batches(dataset.subset(records), 2, SIZE, augment=True)
    assert capsys.readouterr().err == (
        "'000001.png' holds 10000 boxes: of each image the largest 300 are used in training "
        "(`max_boxes` raises that)\n"
    )
    batches.augment = False
    _, y = batches[0]
    assert y["boxes"].shape == (2, 300, 4)
    scale = datasets.letterbox_of(crowded.width, crowded.height, SIZE).scale
    areas = np.sort((boxes[:, 2:] - boxes[:, :2]).prod(-1))[::-1] * scale**2
    used = (y["boxes"][0, :, 2:] - y["boxes"][0, :, :2]).prod(-1)
    np.testing.assert_allclose(np.sort(used)[::-1], areas[:300], rtol=1e-4)
    assert datasets.Batches(dataset.subset(records), 2, SIZE, max_boxes=7)[0][1][
        "labels"
    ].shape == (2, 7)


@pytest.fixture
def spoiled(dataset, tmp_path):
    """A data set whose second picture is damaged after loading."""
    record = dataset.records[1]
    data = bytearray(record.path.read_bytes())
    data[60:90] = bytes(30)
    path = tmp_path / "spoiled.png"
    path.write_bytes(data)
    records = [dataset.records[0], replace(record, path=path), dataset.records[2]]
    line = (
        f"{path}: image must be decodable. Received: a PNG of {len(data)} bytes that OpenCV refuses"
    )
    return dataset.subset(records), line


@pytest.mark.parametrize("augment", [False, True])
def test_a_picture_spoiled_after_loading_is_reported_once_and_training_goes_on(
    spoiled, capsys, augment
):
    data, line = spoiled
    batches = datasets.Batches(data, 3, SIZE, augment=augment)
    for _ in range(3):
        x, y = batches[0]
        batches.on_epoch_end()
        assert np.isfinite(x).all()
    assert capsys.readouterr().err == f"{line} (it trains as a grey image without boxes)\n"
    assert [str(problem) for problem in batches.unreadable] == [line]
    if not augment:
        assert (y["labels"][1] == -1).all() and (y["boxes"][1] == -1).all()
        assert (x[1] == 114).all()


def test_threads_make_the_batches_of_one_and_tell_a_picture_once(spoiled, capsys):
    data, line = spoiled
    arguments = {"augment": True, "shuffle": True, "seed": 3}
    alone = datasets.Batches(data, 1, SIZE, **arguments)
    expected = everything(alone)
    capsys.readouterr()
    batches = datasets.Batches(data, 1, SIZE, **arguments)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(batches.__getitem__, range(len(batches))))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in made]), expected[0])
    for key, value in expected[1].items():
        np.testing.assert_array_equal(np.concatenate([y[key] for _, y in made]), value)
    assert [str(problem) for problem in batches.unreadable] == [line]
    assert capsys.readouterr().err == f"{line} (it trains as a grey image without boxes)\n"


def test_an_epoch_does_not_end_in_waiting_for_tensorflow_s_autotuning(dataset):
    from boxloss.training.parts import EvenBatches, RemainingBatches

    batches = datasets.Batches(dataset, 4, SIZE)
    # With one worker Keras autotunes: see WORKERS.
    for made in (batches, RemainingBatches(batches, 1), EvenBatches(batches, 0, 2)):
        assert made.workers > 1 and not made.use_multiprocessing


def test_a_strict_data_set_stops_at_a_picture_spoiled_after_loading(spoiled):
    data, line = spoiled
    with pytest.raises(ValueError) as error:
        datasets.Batches(replace(data, strict=True), 3, SIZE)[0]
    assert str(error.value) == line


def test_a_picture_that_vanished_or_changed_is_reported(dataset, tmp_path):
    gone = replace(dataset.records[0], path=tmp_path / "gone.png")
    small = replace(dataset.records[0], path=tmp_path / "small.png")
    cv2.imwrite(str(small.path), np.zeros((3, 4, 3), "uint8"))
    batches = datasets.Batches(dataset.subset([gone, small]), 2, SIZE)
    batches[0]
    assert [str(problem) for problem in batches.unreadable] == [
        f"{gone.path}: image must be readable. Received: No such file or directory",
        f"{small.path}: image must have the size it had when the data set was loaded. "
        f"Received: 4 x 3, before {small.width} x {small.height}",
    ]


def test_images_without_boxes_and_ids_are_loaded_for_prediction(dataset, tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.PNG", "deep/a.png"):
        (tmp_path / name).write_bytes(dataset.records[0].path.read_bytes())
    (tmp_path / "notes.txt").write_text("no picture")
    read = datasets.load_images(tmp_path)
    assert [record.file_name for record in read.records] == ["b.PNG", "deep/a.png"]
    assert [len(record) for record in read.records] == [0, 0]
    (one,) = datasets.load_images(tmp_path / "b.PNG").records
    assert (one.file_name, one.width) == ("b.PNG", dataset.records[0].width)
    x, y = datasets.Batches(read, 2, SIZE)[0]
    assert y["boxes"].shape == (2, 1, 4) and (y["boxes"] == -1).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, SIZE), "`batch_size` must be at least 1. Received: batch_size=0"),
        ((2, 0), "`image_size` must be at least 1. Received: image_size=0"),
    ],
)
def test_wrong_arguments_of_batches_are_named(dataset, arguments, message):
    with pytest.raises(ValueError) as error:
        datasets.Batches(dataset, *arguments)
    assert str(error.value) == message


def test_no_mosaics_are_made_after_their_epochs(tmp_path, monkeypatch):
    from boxloss.datasets import augmentation

    synthetic.write(tmp_path, 4, seed=1, image_size=64)
    dataset = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    seen = []
    original = augmentation.Augmentation._compose

    def compose(self, rng, pictures, *rest):
        seen.append(len(pictures))
        return original(self, rng, pictures, *rest)

    monkeypatch.setattr(augmentation.Augmentation, "_compose", compose)
    augment = augmentation.Augmentation(mosaic=1.0)
    batches = datasets.Batches(dataset, 4, 64, augment=augment, max_boxes=300, mosaic_epochs=2)
    for epoch, pictures in enumerate([4, 4, 1]):
        seen.clear()
        batches.epoch = epoch
        batches[0]
        assert seen == [pictures] * 4
