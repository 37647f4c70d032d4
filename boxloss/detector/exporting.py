"""A detector as a SavedModel, an ONNX or a TFLite file, for programs without boxloss."""

import importlib.util
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

from boxloss.detector.description import describe, description_of
from boxloss.detector.exported import load_exported
from boxloss.detector.inference import VOTERS_SCORE, raw_predictions, suppress
from boxloss.detector.model import Detector, check_side
from boxloss.detector.suppression import Suppression
from boxloss.files import write_atomically
from boxloss.tensors import checks, ops
from boxloss.types import PathLike

FORMATS = ("saved_model", "onnx", "tflite")
TOLERANCE = 1e-4  # of scores, and of boxes as a share of the square's side


def export(
    detector: Detector,
    path: PathLike,
    format: str = "saved_model",
    size: int | None = None,
    nms: bool = False,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Write `detector` to `path` and compare what was written with the detector.

    What is written takes "images", float32 (B, S, S, 3), RGB in [0, 255], letterboxed to S = `size`
    (the detector's own if None), and gives "boxes" (B, A, 4), xyxy in pixels of that square, and
    "scores" (B, A, C) in [0, 1], of all A locations. `boxloss.detector.suppress` is the NMS that
    `predict` applies to them. B is any number, but 1 in a TFLite file and with `nms`.

    format: "saved_model" (a folder), "onnx" (a file; needs tf2onnx and onnxruntime) or "tflite" (a
        file). All are written on the TensorFlow backend only, also for a detector that was trained
        on another.
    nms: whether the file holds NMS and box voting. It then gives "boxes" (1, 100, 4), "scores"
        (1, 100), falling, and "labels" (1, 100), from 0; rows without a detection have -1.
    threshold: the score from which `boxloss predict` keeps boxes of this file.

    Beside the file, or in the folder, a JSON file describes it for `load_exported`.

    Returns: a dict: "path", "size", "classes", and "difference", the largest one of boxes (as a
        share of the side) and scores on two random images. Raises ValueError where `path` exists,
        on another backend, where a package is missing, and where the difference is above 1e-4.
    """
    checks.one_of("format", format, FORMATS)
    _check_stack(format)
    path, size = pathlib.Path(path), detector.image_size if size is None else check_side(size)
    if path.exists() or description_of(path).exists():
        raise ValueError(f"`path` must not exist yet. Received: path={str(path)!r}")
    _write(_model(detector, size, nms, 1 if nms or format == "tflite" else None), path, format)
    # Before the comparison, which loads the file as any user of it does.
    describe(
        path,
        format=format,
        nms=nms,
        class_names=detector.class_names,
        category_ids=detector.category_ids,
        image_size=size,
        threshold=threshold,
    )
    difference = _difference(detector, load_exported(path), size)
    # `not <=` and not `>`: a difference of NaN must fail as well.
    if not difference <= TOLERANCE:
        raise ValueError(
            f"{path}: exported model must agree with the detector to {TOLERANCE:g}. "
            f"Received: a difference of {difference:.2g}"
        )
    return {
        "path": str(path),
        "size": size,
        "classes": detector.class_names,
        "difference": difference,
    }


def _model(detector, size, nms, batch):
    """The Keras model that is written."""
    images = keras.Input((size, size, 3), batch_size=batch, name="images")
    outputs = detector(images)
    # Programs without boxloss get probabilities: nobody should have to know of logits.
    scores = keras.layers.Activation("sigmoid", name="scores")(outputs["logits"])
    found = {"boxes": outputs["boxes"], "scores": scores}
    if nms:
        found = Suppression(name="nms")(found["boxes"], found["scores"])
    model = keras.Model(images, found, name="exported")
    model(np.zeros((1, size, size, 3), "float32"))  # Keras exports models that have been called
    return model


def _write(model, path, format):
    if format == "onnx":
        model.export(str(path), format="onnx", verbose=False)
    elif format == "saved_model":
        model.export(str(path), format="tf_saved_model", verbose=False)
    else:
        import tensorflow as tf

        # By way of a SavedModel, whose signature keeps the names of inputs and outputs.
        with tempfile.TemporaryDirectory() as folder:
            model.export(folder, format="tf_saved_model", verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(
                folder, signature_keys=["serving_default"]
            )
            data = converter.convert()
        with write_atomically(path) as temporary:
            temporary.write_bytes(data)


def _difference(detector, written, size):
    """The largest difference between a detector and what was written, on two random images."""
    squares = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype("float32")
    boxes, scores = raw_predictions(detector, squares)
    found = written.outputs(squares)
    if not written.nms:
        return max(
            float(np.abs(found["boxes"] - boxes).max()) / size,
            float(np.abs(found["scores"] - scores).max()),
        )
    differences = [0.0]
    for i in range(len(squares)):
        expected = suppress(boxes[i], scores[i], VOTERS_SCORE)
        # The file lists by score, and scores that differ in the last bit may change places. So each
        # expected detection is looked for among all rows.
        rows = {name: value[i] for name, value in found.items()}
        differences += [
            _nearest({name: value[k] for name, value in expected.items()}, rows, size)
            for k in range(len(expected["scores"]))
        ]
    return max(differences)


def _nearest(one, rows, size):
    """How far the nearest detection of the same class is: equal scores may change places."""
    far = np.abs(rows["boxes"] - one["boxes"]).max(axis=1) / size
    far = np.maximum(far, np.abs(rows["scores"] - one["scores"]))
    return float(np.where(rows["labels"] == one["labels"], far, np.inf).min())


def _check_stack(format):
    """ValueError where this backend or this environment cannot write `format`."""
    if ops.backend() != "tensorflow":
        # From PyTorch Keras writes outputs without names; from JAX nothing has been tried.
        raise ValueError(
            "export needs the TensorFlow backend, where detectors of other backends load as well: "
            f"KERAS_BACKEND=tensorflow boxloss export. Received: backend {ops.backend()!r}"
        )
    wanted = ("tf2onnx", "onnxruntime") if format == "onnx" else ()
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"ONNX needs {' and '.join(wanted)}: pip install {' '.join(wanted)}. "
            f"Received: no {', no '.join(missing)}"
        )
