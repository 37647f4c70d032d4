"""What training did to each true box: errors, images and sides of every step, in bounded memory."""

import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from boxloss.adapters.per_box import use_torch
from boxloss.datasets import DataSet
from boxloss.evaluation.box_statistics import COLUMNS, BoxHistory
from boxloss.types import PathLike

__all__ = ["Record"]
PAIR = np.dtype(
    [
        ("step", "int64"),
        ("image", "int32"),  # position in truth.records
        ("box", "int32"),  # position among the boxes of the image
        ("error", "float32"),
        ("iou", "float32"),
        ("true", "float32", 4),  # xyxy, in the unit that the adapter names
        ("pred", "float32", 4),
    ]
)


class Record:
    """The errors of every true box over a training; `use(loss, record=record)` fills it.

        truth = boxloss.datasets.load("images", "train.json")
        record = Record(truth)
        with adapters.ultralytics.use("wiou", record=record):
            model.train(...)
        record.write("runs/wiou")     # box_history.csv, for BoxReport and `boxloss audit --history`

    Memory: 64 bytes per true box and 56 per pair that is kept, however long the training is.

    A new epoch begins with the step that brings back an image of the current epoch. An image of the
    batch is that of the truth with its name (or id), and its boxes are numbered as there. Where it
    has another number of boxes, as after mosaic, mixup or a crop, nobody knows which is which: such
    views are counted in `unmatched` and left out.

    Args:
        truth: the DataSet that is trained on, of the same annotations in the same order.
        keep: how many pairs (a true box and a prediction that answers for it) are kept in full, the
            newest.

    Attributes: steps, epochs, views (images of all batches), unmatched (views left out).
    """

    def __init__(self, truth: DataSet, *, keep: int = 100_000) -> None:
        use_torch()
        from boxloss.tensors import checks

        if not isinstance(truth, DataSet):
            raise ValueError(
                "`truth` must be a boxloss.datasets.DataSet, as boxloss.datasets.load gives. "
                f"Received: a {type(truth).__name__}"
            )
        self.truth, self.keep = truth, checks.count("keep", keep)
        sizes = [len(record) for record in truth.records]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype("int64")
        self._numbers = _numbers_by_name(truth.records)
        count = int(self._starts[-1])
        self._history = BoxHistory(count)
        self._sums = np.zeros((count, len(COLUMNS)), "float32")
        self._seen = np.zeros(len(truth.records), bool)
        self._pairs = np.zeros(self.keep, PAIR)
        self._filled = 0
        self.steps = self.epochs = self.views = self.unmatched = 0

    # Filling --------------------------------------------------------------------------------------

    def add(
        self,
        names: Sequence[Any],
        counts: Sequence[int],
        *,
        image: Any,
        box: Any,
        true: Any,
        pred: Any,
        error: Any,
        scores: Any,
        label: Any,
        weight: Any = None,
        is_new_step: bool = True,
    ) -> None:
        """Add a batch, or, with is_new_step=False, further pairs of the newest batch.

        names: of its images, paths or ids. counts: how many true boxes each has in the batch.
        image, box: (n,) of each pair the image (position in `names`) and which of its true boxes.
        true, pred: (n, 4) xyxy. error: (n,). scores: (n, C) of the classes. label: (n,) the right
        one. weight: (n,) in the box loss, 1 by default. All are PyTorch tensors.
        """
        pairs = {
            "box": box,
            "true": true,
            "pred": pred,
            "error": error,
            "iou": _iou(true, pred),
            "score": scores.gather(1, label[:, None])[:, 0],
            "right": scores.argmax(-1) == label,
            "weight": error.new_ones(len(error)) if weight is None else weight,
        }
        numbers = np.array([self._number(*view) for view in zip(names, counts, strict=True)], int)
        if is_new_step:
            self._begin_step(numbers)
        number = numbers[_array(image)]
        known = number >= 0
        self._sum(number[known], {name: _array(value)[known] for name, value in pairs.items()})

    def _sum(self, number, pairs):
        """Add pairs of images of the truth."""
        row = self._starts[number] + pairs["box"]
        for column, name in enumerate(COLUMNS[1:], 1):
            share = 1.0 if name == "weight" else pairs[name]
            np.add.at(self._sums[:, column], row, pairs["weight"] * share)
        self._keep(number, pairs)

    def _begin_step(self, numbers):
        self.steps += 1
        self.views += len(numbers)
        self.unmatched += int((numbers < 0).sum())
        numbers = numbers[numbers >= 0]
        if self._seen[numbers].any():
            self._end_epoch()
        self._seen[numbers] = True
        for number in numbers:
            self._sums[self._starts[number] : self._starts[number + 1], 0] += 1

    def _number(self, name, count):
        """The position of an image in the truth; -1 where its boxes cannot be identified."""
        number = self._numbers.get(_key(name))
        if number is None and isinstance(name, (str, os.PathLike)):
            path = pathlib.PurePath(name)
            number = self._numbers.get(path.name, self._numbers.get(path.stem))
        if number is None or number < 0 or len(self.truth.records[number]) != count:
            return -1
        return number

    def _keep(self, image, pairs):
        """Write over the oldest pairs."""
        n = min(len(image), self.keep)
        if not n:
            return
        place = (self._filled + np.arange(n)) % self.keep
        rows = self._pairs
        rows["step"][place], rows["image"][place] = self.steps, image[-n:]
        for name in ("box", "error", "iou", "true", "pred"):
            rows[name][place] = pairs[name][-n:]
        self._filled += n

    def _end_epoch(self):
        self._history.update(self.epochs, self._sums)
        self.epochs += 1
        self._sums[:], self._seen[:] = 0, False

    # Reading --------------------------------------------------------------------------------------

    def newest(self) -> np.ndarray:
        """The kept pairs, oldest first: step, image, box, error, iou, true (4), pred (4).

        A structured array; image and box are positions in `truth.records` and in the record.
        """
        if self._filled <= self.keep:
            return self._pairs[: self._filled].copy()
        return np.roll(self._pairs, -(self._filled % self.keep))

    def write(self, path: PathLike) -> pathlib.Path:
        """Write box_history.csv: to a folder, made if needed, or to a file named *.csv.

        The epoch that is not complete counts as one. Training may go on afterwards.
        """
        path = pathlib.Path(path)
        path = path if path.suffix == ".csv" else path / "box_history.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        history = BoxHistory(len(self._sums))
        history.restore(self._history.table())
        if self._seen.any():
            history.update(self.epochs, self._sums)
        if not history.state["epochs"].any():
            warnings.warn(
                f"{os.fspath(path)} holds no box: of {self.views} views of images "
                f"{self.unmatched} have another name or number of boxes than the truth (mosaic, "
                "mixup and crops change it)",
                stacklevel=2,
            )
        history.write(self.truth, path)
        return path


def _array(tensor):
    return tensor.detach().cpu().numpy()


def _iou(true, pred):
    import torch

    from boxloss import functional

    with torch.no_grad():
        return 1.0 - functional.iou_loss(true, pred)


def id_of(target: Any, argument: str) -> Any:
    """The "image_id" of a target; ValueError where it has none."""
    if "image_id" not in target:
        raise ValueError(
            f"`{argument}` must have an 'image_id' each, by which `record` knows the image. "
            f"Received: one with {', '.join(sorted(target))}"
        )
    return target["image_id"]


def _key(name):
    """Paths by their resolved place, ids by their text."""
    if hasattr(name, "item"):  # a tensor or a number of numpy
        name = name.item()
    return os.path.realpath(name) if isinstance(name, os.PathLike) else str(name)


def _numbers_by_name(records):
    """{path, file name, name alone, stem, image id as text: position}; -1 where two share it."""
    numbers = {}
    for number, record in enumerate(records):
        file = pathlib.PurePath(record.file_name)
        own = os.path.realpath(record.path), str(record.path), record.file_name
        for name in {*own, file.name, file.stem}:
            numbers[name] = number if name not in numbers else -1
    # An id comes last and wins over a stem: "7" is image 7, whatever file is called 7.jpg.
    return numbers | {str(record.image_id): number for number, record in enumerate(records)}
