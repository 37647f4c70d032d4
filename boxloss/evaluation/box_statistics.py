"""Every box over the epochs: mean error, spread, and how often it was forgotten."""

import numpy as np

from boxloss.evaluation.box_history import write_box_history

# What an epoch sums of each box: its views, the weight of the locations that answer for it, and
# their weighted error, class score, IoU, and whether their best class is the right one.
COLUMNS = ("views", "weight", "error", "score", "iou", "right")
FOUND_IOU = 0.5
STATE = (
    *("epochs", "measured", "mean_error", "square_error", "mean_score", "mean_iou"),
    *("found", "forgotten", "first_found", "found_before"),
)


class BoxHistory:
    """Running statistics of `count` boxes, of one size however many epochs there are.

    `state` is a dict of float32 (count,). A box is measured in an epoch in which at least one
    location answered for it; it is found if the weighted means of IoU (from 0.5) and of the right
    class (half) say so, and forgotten by an epoch in which it is not, after one in which it was
    (Toneva et al. 2019, arXiv:1812.05159). Mean and spread over epochs are those of dataset
    cartography (Swayamdipta et al. 2020, arXiv:2009.10795), of the error in place of the
    probability.
    """

    def __init__(self, count):
        self.state = {name: np.zeros(count, "float32") for name in STATE}
        self.state["first_found"] -= 1

    def update(self, epoch, table):
        """Add an epoch. table: (count, 6), sums in the order of `COLUMNS`."""
        state, sums = self.state, dict(zip(COLUMNS, table.T, strict=True))
        seen, measured = sums["views"] > 0, sums["weight"] > 0
        weight = np.where(measured, sums["weight"], 1.0)
        error, score, iou, right = (
            (sums[name] / weight)[measured] for name in ("error", "score", "iou", "right")
        )
        state["epochs"] += seen
        state["measured"] += measured
        n = state["measured"][measured]
        # Welford's update: squares of large means would eat the digits of a small spread.
        apart = error - state["mean_error"][measured]
        state["mean_error"][measured] += apart / n
        state["square_error"][measured] += apart * (error - state["mean_error"][measured])
        for name, value in (("mean_score", score), ("mean_iou", iou)):
            state[name][measured] += (value - state[name][measured]) / n
        # A box that was seen without a location that answers for it counts as not found.
        found = np.zeros(len(seen), bool)
        found[measured] = (iou >= FOUND_IOU) & (right >= 0.5)
        state["found"] += found
        state["forgotten"] += seen & ~found & (state["found_before"] > 0)
        state["first_found"][found & (state["first_found"] < 0)] = epoch
        state["found_before"][seen] = found[seen]

    def table(self):
        """float32 (count, 10), for a checkpoint."""
        return np.stack([self.state[name] for name in STATE], axis=-1)

    def restore(self, table):
        """Put back what `table` gave."""
        self.state = {name: table[:, i].copy() for i, name in enumerate(STATE)}

    def rows(self, dataset):
        """A dict per box that was seen, with the keys of `evaluation.HISTORY_COLUMNS`."""
        start = 0
        for record in dataset.records:
            for j in range(len(record)):
                if self.state["epochs"][start + j]:
                    yield self._row(start + j, dataset, record, j)
            start += len(record)

    def _row(self, i, dataset, record, j):
        value = {name: float(column[i]) for name, column in self.state.items()}
        measured, found = value["measured"] > 0, value["first_found"] >= 0
        spread = (value["square_error"] / max(value["measured"], 1)) ** 0.5
        return {
            "image_id": record.image_id,
            "file_name": record.file_name,
            "annotation_id": record.annotation_ids[j],
            "class": dataset.class_names[record.labels[j]],
            "epochs": int(value["epochs"]),
            "mean_error": value["mean_error"] if measured else None,
            "std_error": spread if measured else None,
            "mean_score": value["mean_score"] if measured else None,
            "mean_iou": value["mean_iou"] if measured else None,
            "found": value["found"] / value["epochs"],
            "forgotten": int(value["forgotten"]),
            "first_found": int(value["first_found"]) if found else None,
        }

    def write(self, dataset, path):
        """Write box_history.csv, or leave the old one."""
        write_box_history(self.rows(dataset), path)
