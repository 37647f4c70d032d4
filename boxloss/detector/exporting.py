"""A detector as a SavedModel or an ONNX file, for programs without boxloss."""

import importlib.util
import pathlib
from typing import Any

import keras
import numpy as np

from boxloss.detector.inference import raw_predictions
from boxloss.detector.model import Detector, check_side
from boxloss.tensors import checks, ops
from boxloss.types import PathLike

FORMATS = {"saved_model": "tf_saved_model", "onnx": "onnx"}
TOLERANCE = 1e-4  # of scores, and of boxes as a share of the square's side


def export(
    detector: Detector, path: PathLike, format: str = "saved_model", size: int | None = None
) -> dict[str, Any]:
    """Write `detector` to `path` and compare what was written with the detector.

    What is written takes "images", float32 (B, S, S, 3), RGB in [0, 255], letterboxed to S = `size`
    (the detector's own if None), any B, and gives "boxes" (B, A, 4), xyxy in pixels of that square,
    and "scores" (B, A, C) in [0, 1], of all A locations. `boxloss.detector.suppress` is the NMS
    that `predict` applies to them.

    format: "saved_model" (a folder) or "onnx" (a file; needs tf2onnx and onnxruntime). Both are
    written on the TensorFlow backend only, also for a detector that was trained on another.

    Returns: a dict: "path", "size", "classes", and "difference", the largest one of boxes (as a
        share of the side) and scores on two random images. Raises ValueError where `path` exists,
        on another backend, where a package is missing, and where the difference is above 1e-4.
    """
    checks.one_of("format", format, tuple(FORMATS))
    _check_stack(format)
    path, size = pathlib.Path(path), detector.image_size if size is None else check_side(size)
    if path.exists():
        raise ValueError(f"`path` must not exist yet. Received: path={str(path)!r}")
    images = keras.Input((size, size, 3), name="images")
    outputs = detector(images)
    scores = keras.layers.Activation("sigmoid", name="scores")(outputs["logits"])
    model = keras.Model(images, {"boxes": outputs["boxes"], "scores": scores}, name="exported")
    model(np.zeros((1, size, size, 3), "float32"))  # Keras exports models that have been called
    model.export(str(path), format=FORMATS[format], verbose=False)
    squares = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype("float32")
    expected = raw_predictions(detector, squares)
    found = _run(path, format, squares)
    difference = max(
        float(np.abs(found[0] - expected[0]).max()) / size,
        float(np.abs(found[1] - expected[1]).max()),
    )
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


def _run(path, format, squares):
    """Boxes and scores by the runtime of the format, not by boxloss."""
    if format == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))  # its variables live as long as it does
        outputs = loaded.serve(tf.constant(squares))
        return [ops.convert_to_numpy(outputs[name]) for name in ("boxes", "scores")]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return session.run(["boxes", "scores"], {"images": squares})
