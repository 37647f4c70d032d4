"""What is exported finds the same boxes as the detector, in every format, with and without NMS."""

import itertools
import json
import os
import pathlib

import cv2
import keras
import numpy as np
import pytest

from boxloss.cli import main
from boxloss.detector import Detector, export, load_exported, suppress
from boxloss.detector.exported import ExportedDetector
from boxloss.detector.exporting import FORMATS
from boxloss.detector.suppression import Suppression
from boxloss.files import write_json
from boxloss.tensors import ops

pytestmark = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow writes")
# Every backbone, and every format with and without NMS. BOXLOSS_EXAMPLES asks for all of them.
EXPORTS = [
    ("small", "saved_model", True),
    ("small", "onnx", False),
    ("efficientnet_lite0", "tflite", False),
    ("efficientnet_lite0", "onnx", True),
    ("mobilenet_v3_small", "saved_model", False),
    ("mobilenet_v3_small", "tflite", True),
    ("mobilenet_v3_large", "onnx", True),
    ("efficientnet_v2_b0", "tflite", True),
    ("convnext_tiny", "saved_model", True),
    ("resnet50", "tflite", False),
]
if "BOXLOSS_EXAMPLES" in os.environ:
    EXPORTS = list(
        itertools.product(dict.fromkeys(row[0] for row in EXPORTS), FORMATS, (False, True))
    )


@pytest.mark.parametrize("limit", [7, 100])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_layer_finds_what_suppress_finds(seed, limit):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 40, (90, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, 40, (90, 2))], axis=1)
    boxes, scores = boxes.astype("float32"), rng.uniform(-0.2, 1, (90, 3)).astype("float32")
    # Without area, and of one class: to OpenCV all boxes without area are the same one.
    boxes[5, 2:], scores[5, 1:] = boxes[5, :2], 0
    scores[60:] *= 9e-4  # too low to be found or to vote
    expected = suppress(boxes, scores, 0.001, limit=limit)
    layer = Suppression(limit=limit)
    found = {name: ops.numpy_of(x)[0] for name, x in layer(boxes[None], scores[None]).items()}
    count = len(expected["scores"])
    assert 5 < count <= limit and found["boxes"].shape == (limit, 4)
    np.testing.assert_array_equal(found["labels"][:count], expected["labels"])
    np.testing.assert_allclose(found["scores"][:count], expected["scores"])
    np.testing.assert_allclose(found["boxes"][:count], expected["boxes"], rtol=1e-4, atol=1e-3)
    assert (found["labels"][count:] == -1).all() and (found["scores"][count:] == 0).all()
    assert (found["boxes"][count:] == 0).all()


def test_chains_of_boxes_are_followed_to_their_end():
    """Each suppresses the next one: every second of twelve stays."""
    left = np.arange(12, dtype="float32") * 2
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1)
    scores = np.linspace(0.9, 0.3, 12, dtype="float32")[:, None]
    found = Suppression(nms_threshold=0.5, limit=12)(boxes[None], scores[None])
    kept = ops.numpy_of(found["scores"])[0]
    np.testing.assert_allclose(kept[:6], scores[::2, 0])
    assert (kept[6:] == 0).all()
    assert ops.numpy_of(found["labels"])[0].tolist() == [0] * 6 + [-1] * 6


def trained_like(backbone="nano", size=64):
    """A detector whose statistics are not those of a fresh one."""
    keras.utils.set_random_seed(3)
    detector = Detector(
        ["a", "b"], image_size=size, bins=4, category_ids=[7, "x"], backbone=backbone
    )
    rng = np.random.default_rng(0)
    for weight in detector.weights:
        if "moving_mean" in weight.path:
            weight.assign(weight + 0.1)
        # Scores far apart: which of two equal ones comes first is up to the runtime.
        if weight.path.split("/")[-2] in ("class8", "class16", "class32"):
            weight.assign(rng.normal(-1 if weight.path.endswith("bias") else 0, 2, weight.shape))
    return detector


def check_file(detector, path):
    """The file gives the detector's own detections in images that are no squares."""
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 255, shape, "uint8") for shape in ((50, 90, 3), (120, 40, 3))]
    exported = load_exported(path)
    assert (exported.class_names, exported.category_ids) == (["a", "b"], [7, "x"])
    expected = detector.predict(images, score_threshold=0.01)
    for one, other in zip(exported.predict(images, score_threshold=0.01), expected, strict=True):
        assert len(one["scores"]) == len(other["scores"]) > 3
        np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-4)
        # Where scores are nearly equal the order may differ, and which one is the hundredth.
        for k in np.flatnonzero(other["scores"] > other["scores"][-1] + 1e-3):
            alike = one["labels"] == other["labels"][k]
            alike &= np.abs(one["scores"] - other["scores"][k]) < 1e-4
            alike &= np.abs(one["boxes"] - other["boxes"][k]).max(axis=1) < 0.02
            assert alike.any()


@pytest.mark.long(20)
def test_a_tflite_file_with_nms_finds_the_same_also_by_the_commands(tmp_path):
    detector = trained_like()
    detector.save(tmp_path / "model.keras")
    write_json(tmp_path / "metrics.json", {"threshold": 0.25})
    path = tmp_path / "a.tflite"
    assert main(["export", str(tmp_path), "--out", str(path), "--format=tflite", "--nms"]) == 0
    check_file(detector, path)
    picture = np.random.default_rng(1).integers(0, 255, (50, 90, 3), "uint8")
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    for source in (tmp_path, path):
        words = ["predict", str(source), str(tmp_path / "a.png"), "--out", f"{source}-out"]
        assert main([*words, "--no-drawings"]) == 0
    ours, theirs = (
        json.loads((pathlib.Path(f"{source}-out") / "detections.json").read_text())
        for source in (tmp_path, path)
    )
    assert len(ours) == len(theirs) > 3 and {one["category_id"] for one in theirs} <= {7, "x"}
    np.testing.assert_allclose(
        *[[one["score"] for one in found] for found in (ours, theirs)], atol=1e-4
    )
    assert json.loads((tmp_path / "a.tflite.json").read_text()) == {
        "format": "tflite",
        "nms": True,
        "class_names": ["a", "b"],
        "category_ids": [7, "x"],
        "image_size": 64,
        "threshold": 0.25,
    }


@pytest.mark.slow(60)
@pytest.mark.parametrize("backbone, format, nms", EXPORTS)
def test_what_is_exported_finds_the_same(tmp_path, backbone, format, nms):
    if format == "onnx":
        pytest.importorskip("tf2onnx", reason="ONNX files need tf2onnx")
        pytest.importorskip("onnxruntime", reason="ONNX files need onnxruntime")
    detector = trained_like(backbone)
    export(detector, tmp_path / "file", format, nms=nms)
    check_file(detector, tmp_path / "file")


@pytest.mark.parametrize("text", [None, "{}", '{"format": "exe", "nms": false}', "no json"])
def test_a_file_without_its_description_is_one_line(tmp_path, text):
    (tmp_path / "a.onnx").write_bytes(b"model")
    if text is not None:
        (tmp_path / "a.onnx.json").write_text(text)
    with pytest.raises(ValueError) as error:
        load_exported(tmp_path / "a.onnx")
    start = f"{tmp_path / 'a.onnx'}: file must be what boxloss exported, with its description "
    assert str(error.value).startswith(start + "a.onnx.json. Received: ")
    assert "\n" not in str(error.value)


def test_a_file_with_nms_takes_no_other_options():
    detector = object.__new__(ExportedDetector)
    detector.nms = True
    with pytest.raises(ValueError) as error:
        detector.predict([], score_threshold=0.2, tile=64, overlap=0.1, limit=5)
    assert str(error.value) == (
        "options of `predict` must be score_threshold alone for a file that does NMS. "
        "Received: limit, overlap, tile"
    )
    assert detector.predict([], score_threshold=0.2, tile=None, overlap=0.1) == []
