"""Callbacks for anyone's Keras `fit`: losses of images, worst boxes, COCO metrics."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from boxloss import datasets, evaluation
from boxloss.evaluation.results import as_results, coco_results
from boxloss.files import write_csv
from boxloss.losses import TensorLoss, Tensors
from boxloss.tensors import checks, ops
from boxloss.types import Entry, Found, PathLike

__all__ = [
    "CocoEvaluation",
    "ImageLossHistory",
    "WorstBoxes",
    "as_results",
    "coco_results",
    "predict_with_detector",
]


def _select(value, output):
    return value if output is None else value[output]


class _AfterEpoch(keras.callbacks.Callback):
    """Looks at predictions for `x` after every `every`th epoch."""

    def __init__(
        self,
        loss: TensorLoss,
        x: Any,
        y: Any,
        output: str | None = None,
        every: int = 1,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.loss, self.x, self.y = loss, x, y
        self.output, self.batch_size = output, batch_size
        self.every = checks.count("every", every)

    def tensors(self) -> Tensors:
        """The loss' `Tensors` of all images, numpy; padding as in `y`."""
        predicted = keras.Model.predict(self.model, self.x, self.batch_size, verbose=0)
        true = ops.convert_to_tensor(_select(self.y, self.output))
        return self.loss.tensors(true, _select(predicted, self.output)).numpy()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every == 0:
            self.look(epoch)


class ImageLossHistory(_AfterEpoch):
    """The loss of every image after every epoch: which images are learned, which never are.

    loss: a boxloss loss; x, y: arrays of n images and what they should give; output: the key, for
        models with a dict of outputs. path: a CSV file (epoch, image, loss), rewritten after
        every epoch. names: n names for the column image; positions if not given.

    `history` is a dict: epoch -> (n,) image losses. The images are predicted once more for it,
    in inference mode.
    """

    def __init__(
        self,
        loss: TensorLoss,
        x: Any,
        y: Any,
        output: str | None = None,
        path: PathLike | None = None,
        names: Sequence[Any] | None = None,
        every: int = 1,
        batch_size: int = 32,
    ) -> None:
        super().__init__(loss, x, y, output, every, batch_size)
        self.path, self.names = path, names
        self.history: dict[int, Any] = {}

    def look(self, epoch: int) -> None:
        self.history[epoch] = self.tensors().image_losses
        if self.path is not None:
            names = range(len(self.history[epoch])) if self.names is None else self.names
            rows = [
                (epoch, name, loss)
                for epoch, losses in self.history.items()
                for name, loss in zip(names, losses, strict=True)
            ]
            write_csv(self.path, ("epoch", "image", "loss"), rows, number=".7g")


class WorstBoxes(_AfterEpoch):
    """The `count` boxes with the largest error after every epoch.

    `boxes` is a list of dicts, worst first: image, box (positions in `y`), error, and the four
    signed errors error_x1 ... error_y2 in the unit of the boxes. `path`: the same as CSV.
    Other arguments: see `ImageLossHistory`; `loss` is one of four sides per box, not of classes or
    rotated boxes.
    """

    COLUMNS = ("image", "box", "error", "error_x1", "error_y1", "error_x2", "error_y2")

    def __init__(
        self,
        loss: TensorLoss,
        x: Any,
        y: Any,
        output: str | None = None,
        count: int = 20,
        path: PathLike | None = None,
        names: Sequence[Any] | None = None,
        every: int = 1,
        batch_size: int = 32,
    ) -> None:
        super().__init__(loss, x, y, output, every, batch_size)
        checks.one_of("loss.kind", loss.kind, ("box", "distribution", "uncertainty"))
        self.count, self.path, self.names = count, path, names
        self.boxes: list[Entry] = []

    def look(self, epoch: int) -> None:
        tensors = self.tensors()
        true = ops.convert_to_tensor(_select(self.y, self.output))
        real = ops.convert_to_numpy(self.loss.is_real(true))
        # A NaN is the worst of all.
        errors = np.where(real, np.nan_to_num(tensors.box_errors, nan=np.inf), -np.inf)
        order = np.argsort(-errors, axis=None, kind="stable")[: min(self.count, real.sum())]
        self.boxes = []
        for image, box in zip(*np.unravel_index(order, errors.shape), strict=True):
            values = (tensors.box_errors[image, box], *tensors.residuals[image, box, :4])
            name = int(image) if self.names is None else self.names[image]
            row = (name, int(box), *map(float, values))
            self.boxes.append(dict(zip(self.COLUMNS, row, strict=True)))
        if self.path is not None:
            write_csv(self.path, self.COLUMNS, [row.values() for row in self.boxes])


class CocoEvaluation(keras.callbacks.Callback):
    """COCO's metrics of a data set, in `fit`'s logs as val_AP, val_AP50, ...

    dataset: a `datasets.DataSet` with truth. every: epochs between evaluations; the last epoch of
        `fit` is always evaluated. predict: a function (model, images) -> a list of
        dicts of boxes (n, 4) xyxy in pixels, labels and scores, one per image; for a boxloss
        detector it may be left out. chunk: images read and predicted together.

    `history` is a dict: epoch -> {"AP": ...}.
    """

    def __init__(
        self,
        dataset: datasets.DataSet,
        every: int = 1,
        predict: Callable[[Any, list], list[Found]] | None = None,
        chunk: int = 16,
        prefix: str = "val_",
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.every, self.chunk = checks.count("every", every), checks.count("chunk", chunk)
        self.predict_images = predict or predict_with_detector
        self.prefix = prefix
        self.history: dict[int, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        last = epoch + 1 == self.params.get("epochs")
        if (epoch + 1) % self.every and not last:
            return
        results = coco_results(
            self.dataset, lambda images: self.predict_images(self.model, images), self.chunk
        )
        self.history[epoch] = evaluation.coco_metrics(self.dataset, results)
        if logs is not None:
            for name, value in self.history[epoch].items():
                logs[self.prefix + name] = float("nan") if value is None else value


def predict_with_detector(model: Any, images: Sequence[np.ndarray]) -> list[Found]:
    """All detections of a `Detector`, or of a model that has one as `detector`."""
    return getattr(model, "detector", model).predict(images, score_threshold=0.001)
