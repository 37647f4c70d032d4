"""A detector from a file that `export` wrote, run by the runtime of its format."""

import importlib
import warnings
from typing import Any

import numpy as np

from boxloss import datasets
from boxloss.detector import inference
from boxloss.detector.description import description_of
from boxloss.files import one_line, read_object
from boxloss.types import Found, PathLike, Pictures


class ExportedDetector:
    """An exported file with the `predict` of a `Detector`; see `load_exported`."""

    def __init__(self, path: PathLike, fields: dict[str, Any]) -> None:
        self.class_names = [str(name) for name in fields["class_names"]]
        self.category_ids = list(fields["category_ids"])
        self.image_size, self.nms = int(fields["image_size"]), bool(fields["nms"])
        self.threshold = fields.get("threshold")
        # NMS is written for one image, and TFLite plans its memory for one size of batch.
        self._one_by_one = self.nms or fields["format"] == "tflite"
        self._run = RUNTIMES[fields["format"]](str(path))

    def outputs(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """{name: array} of float32 squares (B, S, S, 3), as the file gives them."""
        if not self._one_by_one:
            return self._run(squares)
        parts = [self._run(squares[i : i + 1]) for i in range(len(squares))]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def raw_predictions(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (B, A, 4) and scores (B, A, C) of a file without NMS."""
        outputs = self.outputs(squares)
        return outputs["boxes"], outputs["scores"]

    def predict(self, images: Pictures, **options: Any) -> list[Found]:
        """Detections in images of any size; see `inference.detect`.

        Where the file does NMS itself, `score_threshold` is the only option.
        """
        if not self.nms:
            return inference.detect(self, images, **options)
        given = {name: value for name, value in options.items() if value is not None}
        threshold = given.pop("score_threshold", 0.05)
        # The commands always hand on an overlap; without tiles it means nothing.
        if "tile" not in given:
            given.pop("overlap", None)
        if given:
            raise ValueError(
                "options of `predict` must be score_threshold alone for a file that does NMS. "
                f"Received: {', '.join(sorted(given))}"
            )
        return [self._found(image, threshold) for image in images]

    def _found(self, image, threshold):
        """Detections in one image, by the file's own NMS."""
        picture = inference.as_picture(image)
        nothing = np.zeros((0, 4), "float32")
        square, _, place = datasets.letterbox(picture, nothing, self.image_size)
        outputs = self.outputs(square[None].astype("float32"))
        sure = outputs["scores"][0] >= threshold
        found = {name: value[0][sure] for name, value in outputs.items()}
        found["labels"] = found["labels"].astype("int64")
        return inference.back_to_image(found, place, *picture.shape[:2])


def load_exported(path: PathLike) -> ExportedDetector:
    """The detector in a SavedModel, an ONNX or a TFLite file that `export` wrote.

    Its description lies beside the file as FILE.json, in a SavedModel as boxloss.json. Only open
    files that you trust: a SavedModel is a program and may read and write files. ValueError where
    the description is missing or wrong, and where the runtime is not installed.
    """
    fields = read_object(description_of(path))
    try:
        return ExportedDetector(path, fields)
    except ImportError as error:
        raise ValueError(
            f"{one_line(path)}: the runtime of {fields['format']} must be installed. "
            f"Received: {error}"
        ) from None
    except Exception as error:  # each runtime has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{one_line(path)}: file must be what boxloss exported, with its description "
            f"{one_line(description_of(path).name)}. Received: {reason}"
        ) from None


def _saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)  # its variables live as long as it does

    def run(squares):
        return {name: x.numpy() for name, x in loaded.serve(tf.constant(squares)).items()}

    return run


def _onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]

    def run(squares):
        return dict(zip(names, session.run(names, {"images": squares}), strict=True))

    return run


def _tflite(path):
    try:
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(path)
    except ImportError:  # TensorFlow still has an interpreter of its own
        import tensorflow as tf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it will be removed
            interpreter = tf.lite.Interpreter(path)
    runner = interpreter.get_signature_runner("serving_default")
    return lambda squares: dict(runner(images=squares))


RUNTIMES = {"saved_model": _saved_model, "onnx": _onnx, "tflite": _tflite}
