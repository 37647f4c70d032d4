"""The detector: shapes, NMS against plain loops, the way back to the original image, files."""

import importlib.util
import sys

import keras
import numpy as np
import pytest

from boxloss import detector as package
from boxloss.datasets import letterbox_of
from boxloss.detector import Detector, inference, load_detector, suppress
from boxloss.tensors import ops


@pytest.fixture(scope="module")
def small_detector():
    keras.utils.set_random_seed(0)
    return Detector(["cat", "<b>dog"], image_size=64, bins=16, category_ids=[7, 3])


def suppressed_by_loops(boxes, scores, score_threshold, nms_threshold):
    """(label, score, location) of what stays, by falling score."""
    pairs = [
        (float(scores[a, c]), a, c)
        for a in range(len(boxes))
        for c in range(scores.shape[1])
        if scores[a, c] >= score_threshold
    ]
    kept = []
    for score, a, c in sorted(pairs, key=lambda pair: -pair[0]):
        rivals = [b for _, b, d in kept if d == c]
        if all(overlap(boxes[a], boxes[b]) <= nms_threshold for b in rivals):
            kept.append((score, a, c))
    return kept


def overlap(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


@pytest.mark.parametrize("nms_threshold", [0.3, 0.7])
def test_suppression_equals_plain_loops_in_every_class(nms_threshold):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (60, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 30, (60, 2))], axis=1).astype("float32")
    scores = rng.uniform(0, 1, (60, 3)).astype("float32")
    found = suppress(boxes, scores, 0.4, nms_threshold, limit=1000, voting=False)
    kept = suppressed_by_loops(boxes, scores, 0.4, nms_threshold)
    assert 10 < len(kept) < (scores >= 0.4).sum()
    assert found["labels"].tolist() == [c for _, _, c in kept]
    np.testing.assert_allclose(found["scores"], [score for score, _, _ in kept])
    np.testing.assert_array_equal(found["boxes"], boxes[[a for _, a, _ in kept]])


@pytest.mark.parametrize("nms_threshold", [0.3, 0.6])
@pytest.mark.parametrize("score_threshold", [0.001, 0.4])
def test_boxes_are_moved_by_those_that_they_suppress(nms_threshold, score_threshold):
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 20, (50, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(9, 30, (50, 2))], axis=1).astype("float32")
    scores = rng.uniform(0.002, 1, (50, 3)).astype("float32")
    found = suppress(boxes, scores, score_threshold, nms_threshold, limit=1000)
    kept = suppressed_by_loops(boxes, scores, score_threshold, nms_threshold)
    moved = 0
    for box, score, (_, a, c) in zip(found["boxes"], found["scores"], kept, strict=True):
        voters = [b for b in range(50) if b == a or overlap(boxes[a], boxes[b]) > nms_threshold]
        mean = sum(float(scores[b, c]) * boxes[b].astype("float64") for b in voters)
        mean /= sum(float(scores[b, c]) for b in voters)
        np.testing.assert_allclose(box, mean, rtol=1e-5)
        assert score == scores[a, c]
        moved += len(voters) > 1
    assert moved > 5


def test_a_box_without_area_or_of_hardly_any_score_votes_for_itself():
    boxes = np.array([[3, 4, 3, 9], [20, 0, 29, 9]], "float32")
    found = suppress(boxes, np.float32([[0.5], [1e-30]]), 0.0, 0.5)
    np.testing.assert_array_equal(found["boxes"], boxes)


def test_the_limit_keeps_the_best_and_nothing_found_is_an_empty_answer():
    boxes = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], "float32")
    scores = np.array([[0.5], [0.9], [0.7]], "float32")
    found = suppress(boxes, scores, 0.1, 0.5, limit=2)
    assert found["boxes"][:, 0].tolist() == [20, 40]
    nothing = suppress(boxes, scores, 0.95)
    assert [nothing[key].shape for key in ("boxes", "labels", "scores")] == [(0, 4), (0,), (0,)]


def test_detections_return_to_the_pixels_of_the_image_and_stay_inside():
    place = letterbox_of(200, 100, 64)  # scale 0.32, 16 rows of grey above
    boxes = np.array([[8, 24, 40, 40], [-10, 0, 30, 20], [10, 2, 20, 9]], "float32")
    found = {"boxes": boxes, "labels": np.arange(3), "scores": np.ones(3, "float32")}
    back = inference.back_to_image(found, place, height=100, width=200)
    np.testing.assert_allclose(back["boxes"], [[25, 25, 125, 75], [0, 0, 93.75, 12.5]], rtol=1e-5)
    assert back["labels"].tolist() == [0, 1]  # the last one lies in the grey alone


def test_outputs_are_boxes_and_logits_of_every_location(small_detector):
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")
    outputs = {key: ops.convert_to_numpy(x) for key, x in small_detector(images).items()}
    locations = 8 * 12 + 4 * 6 + 2 * 3
    assert outputs["boxes"].shape == (2, locations, 4)
    assert outputs["logits"].shape == (2, locations, 2)
    assert outputs["distribution"].shape == (2, locations, 64)
    assert (outputs["boxes"][..., 2:] >= outputs["boxes"][..., :2]).all()


def test_a_saved_detector_predicts_the_same_and_knows_its_classes(small_detector, tmp_path):
    small_detector.save(tmp_path / "model.keras")
    loaded = load_detector(tmp_path / "model.keras")
    assert loaded.class_names == ["cat", "<b>dog"] and loaded.category_ids == [7, 3]
    assert (loaded.size, loaded.image_size, loaded.bins) == ("nano", 64, 16)
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, shape, "uint8") for shape in ((40, 90, 3), (100, 30, 3))]
    for a, b in zip(
        small_detector.predict(images, score_threshold=0.001),
        loaded.predict(images, score_threshold=0.001),
        strict=True,
    ):
        assert len(a["scores"]) > 0 and (np.diff(a["scores"]) <= 0).all()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_another_model_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="model must be a boxloss Detector. Received: Sequential"):
        load_detector(tmp_path / "other.keras")


def test_category_ids_may_be_texts(tmp_path):
    Detector(["a", "b"], image_size=64, category_ids=["b-7", 3]).save(tmp_path / "model.keras")
    assert load_detector(tmp_path / "model.keras").category_ids == ["b-7", 3]


@pytest.mark.parametrize("kind", ["absent", "folder", "text", "cut"])
def test_a_file_that_is_no_model_is_reported_in_one_line(small_detector, tmp_path, kind):
    path = tmp_path / "model.keras"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("{}")
    elif kind == "cut":
        small_detector.save(path)
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError) as error:
        load_detector(path)
    reason = (
        "no such file" if kind in ("absent", "folder") else "no .keras file, or one that is cut"
    )
    expected = f"{path}: file must be a detector that boxloss saved. Received: {reason}"
    assert str(error.value) == expected


def test_a_side_that_the_network_cannot_take_is_not_exported(small_detector, tmp_path):
    if keras.config.backend() != "tensorflow":
        pytest.skip("exported on TensorFlow only")
    for size in (50, 0):
        with pytest.raises(ValueError) as error:
            package.export(small_detector, tmp_path / "saved", size=size)
        assert str(error.value) == (
            f"`image_size` must be a positive multiple of 32. Received: image_size={size}"
        )
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"class_names": []},
            "`class_names` must hold at least one name. Received: class_names=[]",
        ),
        (
            {"class_names": ["a"], "image_size": 100},
            "`image_size` must be a positive multiple of 32. Received: image_size=100",
        ),
        (
            {"class_names": ["a"], "size": "nanno"},
            "`size` must be one of 'medium', 'nano', 'small'. Did you mean 'nano'? "
            "Received: size='nanno'",
        ),
    ],
    ids=["classes", "image_size", "size"],
)
def test_wrong_arguments_are_reported_in_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        Detector(**arguments)
    assert str(error.value) == message


def test_an_image_that_is_none_is_refused_by_its_place(small_detector):
    grey = np.zeros((20, 20), "uint8")
    message = r"`images` must be RGB images \(H, W, 3\). Received: image 0 of shape \(20, 20\)"
    with pytest.raises(ValueError, match=message):
        small_detector.predict([grey])


def test_the_fused_normalisation_equals_that_of_keras():
    x = np.random.default_rng(0).normal(3, 2, (2, 5, 7, 3)).astype("float32")
    layers = [
        package.network.FusedBatchNormalization(momentum=0.9),
        keras.layers.BatchNormalization(momentum=0.9),
    ]
    trained = [ops.convert_to_numpy(layer(x, training=True)) for layer in layers]
    np.testing.assert_allclose(*trained, atol=1e-5)
    np.testing.assert_allclose(*[layer.moving_mean for layer in layers], rtol=1e-5)
    # The kernel divides by n - 1, Keras by n: here 70 values a channel.
    spreads = [np.asarray(layer.moving_variance) - 0.9 for layer in layers]
    np.testing.assert_allclose(spreads[0], spreads[1] * 70 / 69, rtol=1e-4)
    for layer in layers:
        layer.moving_variance.assign([1.5, 2.0, 0.5])
    np.testing.assert_allclose(*[layer(x, training=False) for layer in layers], atol=1e-5)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
@pytest.mark.parametrize("bins", [pytest.param(0, marks=pytest.mark.slow(20)), 16])
def test_a_saved_model_gives_the_detectors_boxes(tmp_path, bins):
    import tensorflow as tf

    from boxloss.detector import export

    keras.utils.set_random_seed(3)
    detector = Detector(["a", "b"], image_size=96, bins=bins)
    for weight in detector.weights:  # statistics that differ from those of a fresh model
        if "moving_mean" in weight.path:
            weight.assign(weight + 0.1)
    written = export(detector, tmp_path / "saved")
    assert written["difference"] <= 1e-4
    images = np.random.default_rng(1).uniform(0, 255, (3, 96, 96, 3)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    found = loaded.serve(images)
    expected = detector(images)
    scores = 1 / (1 + np.exp(-np.asarray(expected["logits"], "float64")))
    np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
    with pytest.raises(ValueError, match="`path` must not exist yet. Received: path="):
        export(detector, tmp_path / "saved")


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow writes ONNX files")
def test_an_onnx_file_gives_the_detectors_boxes(tmp_path):
    pytest.importorskip("tf2onnx", reason="ONNX files need tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX files need onnxruntime")
    from boxloss.detector import export

    keras.utils.set_random_seed(3)
    detector = Detector(["a", "b"], image_size=64, bins=16)
    assert export(detector, tmp_path / "a.onnx", "onnx")["difference"] <= 1e-4
    images = np.random.default_rng(1).uniform(0, 255, (3, 64, 64, 3)).astype("float32")
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    boxes, scores = session.run(["boxes", "scores"], {"images": images})
    expected = detector(images)
    np.testing.assert_allclose(boxes, expected["boxes"], rtol=1e-4, atol=64 * 1e-4)
    expected = 1 / (1 + np.exp(-np.asarray(expected["logits"], "float64")))
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="other backends refuse first")
def test_what_onnx_needs_is_reported_before_anything_is_written(tmp_path, monkeypatch):
    from boxloss.detector import export

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError) as error:
        export(Detector(["a"], image_size=64), tmp_path / "a.onnx", "onnx")
    assert str(error.value) == (
        "ONNX needs tf2onnx and onnxruntime: pip install tf2onnx onnxruntime. "
        "Received: no tf2onnx, no onnxruntime"
    )
    assert list(tmp_path.iterdir()) == []


def test_other_backends_are_shown_how_to_export(tmp_path, monkeypatch):
    from boxloss.detector import export

    monkeypatch.setattr(ops, "backend", lambda: "torch")
    with pytest.raises(ValueError) as error:
        export(Detector(["a"], image_size=64), tmp_path / "saved")
    assert str(error.value) == (
        "export needs the TensorFlow backend, where detectors of other backends load as well: "
        "KERAS_BACKEND=tensorflow boxloss export. Received: backend 'torch'"
    )


def test_an_export_that_differs_is_refused(tmp_path, monkeypatch):
    from boxloss.detector import export as exporter

    module = sys.modules[exporter.__module__]
    detector = Detector(["a"], image_size=64)
    monkeypatch.setattr(module.keras.Model, "export", lambda *a, **k: None)
    right = module.raw_predictions(
        detector, np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    )

    class Written:
        nms = False

        def outputs(self, squares):
            return {"boxes": right[0] + 0.1, "scores": right[1]}

    monkeypatch.setattr(module, "load_exported", lambda path: Written())
    with pytest.raises(ValueError, match="exported model must agree with the detector to 0.0001"):
        exporter(detector, tmp_path / "saved")
