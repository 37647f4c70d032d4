"""What happens around the steps of a run: rate, checkpoints, evaluation, histories, accidents."""

import math
import signal
import sys
import time

import keras
import numpy as np

from boxloss import evaluation
from boxloss.evaluation.box_statistics import BoxHistory
from boxloss.files import duration, write_csv
from boxloss.tensors import ops
from boxloss.training import checkpoint, processes
from boxloss.training.averages import (
    AveragedWeights,
    detector_of_this_process,
    save_detector,
)
from boxloss.training.folder import CHECKPOINT
from boxloss.training.options import learning_rate
from boxloss.training.readable import check_readable, results_of

# How a run is resumed bit for bit. A step depends on the weights, the optimizer, the state of the
# metrics, the order of the images, their augmentation and the learning rate. The first three are
# variables and lie in the checkpoint. Order and augmentation are drawn from (seed, epoch, position)
# alone, and the rate from the number of the step, so that a position is all that they need: no
# generator has a state that a kill could lose. The checkpoint is written after a step and renamed
# into place, so there is always a whole one, and what came after it is done once more in the same
# way. The model is restored in `on_epoch_begin` and not before: `fit` resets the metrics until
# then, and the image losses of a broken epoch would begin anew.


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the run was saved."""


class NonFiniteLoss(ValueError):
    """The loss became NaN or infinite."""


class Progress(keras.callbacks.Callback):
    """One run: knows its position, saves it, and stops it in good order.

    `position`: dict of epoch, step (of that epoch), best (AP or None), worse (evaluations since),
    cpu_seconds and wall_seconds of earlier parts. `history`: list of dicts, one per epoch.
    """

    def __init__(self, run, options, train, validation, steps, clock, unreadable=()):
        super().__init__()
        self.run, self.options = run, options
        self.unreadable = unreadable
        self.train, self.validation = train, validation
        self.steps, self.clock = steps, clock
        self.position = {"epoch": 0, "step": 0, "best": None, "worse": 0}
        self.history = []
        self.image_losses = {}  # epoch -> (images, parts)
        self.boxes = BoxHistory(sum(len(record) for record in train.records))
        self.first_step = 0
        self.interrupt = False
        self._pending = None
        self.step_seconds = []  # from the beginning of a step to that of the next
        self._began = None
        self.writes = processes.is_first()  # of several processes one writes the run folder
        self.copy = None
        self.tensorboard = None
        if options.tensorboard and self.writes:
            self.tensorboard = tensorboard_writer(run / "tensorboard")

    # Position -------------------------------------------------------------------------------------

    def resume(self, path):
        """Continue from a checkpoint: the model is restored when its first epoch begins."""
        content = None
        if processes.count() > 1:
            content = processes.bytes_of_first(path.read_bytes)
        position, tables, values = checkpoint.read(path, content)
        self.history = position.pop("history")
        self.clock.add(position.pop("cpu_seconds"), position.pop("wall_seconds"))
        self.position = position
        if len(tables["epochs"]):
            self.image_losses = dict(
                zip(tables["epochs"].tolist(), tables["image_losses"], strict=True)
            )
        self.boxes.restore(tables["boxes"])
        self._pending = (path, values)
        self.first_step = position["step"]

    def save(self):
        if not self.writes:
            return
        cpu, wall = self.clock.read()
        position = self.position | {
            "history": self.history,
            "cpu_seconds": cpu,
            "wall_seconds": wall,
        }
        parts = len(self.model.parts)
        tables = {
            "epochs": np.array(list(self.image_losses), "int64"),
            "image_losses": np.array(list(self.image_losses.values()), "float32").reshape(
                len(self.image_losses), len(self.train.records), parts
            ),
            "boxes": self.boxes.table(),
        }
        checkpoint.save(self.run / CHECKPOINT, self.model, position, tables)

    def rewrite_best(self, model):
        """Write model.keras anew, with the averaged weights of the last checkpoint."""
        if self._pending is not None:  # a run that is over: no epoch has restored it
            checkpoint.restore(self._pending[0], model, self._pending[1])
        with AveragedWeights(model, self.copy) as detector:
            save_detector(detector, self.run / "model.keras")

    # Keras' calls ---------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        if processes.count() > 1 and self.copy is None:
            self.copy = detector_of_this_process(self.model.detector)

        # An exception in the middle of a step could leave some of the weights moved and others not.
        # So the first Ctrl-C is only remembered, and the run stops after the step, in a state that
        # can be saved; the second one is for people who cannot wait.
        def remember(number, frame):
            if self.interrupt:
                raise KeyboardInterrupt
            self.interrupt = True
            print("\nstopping after this step; Ctrl-C again stops at once", file=sys.stderr)

        try:
            self._old_handler = signal.signal(signal.SIGINT, remember)
        except ValueError:  # not in the main thread: then nobody presses Ctrl-C here
            self._old_handler = None

    def on_train_end(self, logs=None):
        self.release()

    def release(self):
        """Give Ctrl-C back to whoever had it."""
        if getattr(self, "_old_handler", None) is not None:
            signal.signal(signal.SIGINT, self._old_handler)
            self._old_handler = None

    def on_epoch_begin(self, epoch, logs=None):
        self._began = None  # what lies between epochs is no step
        # `fit` has just reset the metrics: what was saved in mid-epoch goes on from there.
        if self._pending is not None:
            checkpoint.restore(self._pending[0], self.model, self._pending[1])
            if not self.first_step:
                self.model.reset_metrics()
            self._pending = None

    def on_train_batch_begin(self, batch, logs=None):
        now, before = time.perf_counter(), self._began
        if before is not None:
            self.step_seconds.append(now - before)
        self._began = now
        # From the position and not by a schedule of Keras: that counts the steps of one `fit`, and
        # the rest of a broken epoch is a `fit` of its own.
        done = self.position["epoch"] * self.steps + self.position["step"]
        rate = learning_rate(done, self.steps * self.options.epochs, self.options)
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch, logs=None):
        # Adam divides by its second moment, so one NaN is in every weight after the next step. The
        # last checkpoint is from before, and stays.
        if not math.isfinite(logs["loss"]):
            raise NonFiniteLoss(self._explain())
        if self.unreadable:
            names = [str(problem) for problem in self.unreadable]
            check_readable("images", names, len(self.train.records))
        self.position["step"] += 1
        every = self.options.checkpoint_steps
        if self.interrupt or (every and self.position["step"] % every == 0):
            # The last step of an epoch is saved by `on_epoch_end`, with the epoch in its histories.
            if self.position["step"] < self.steps:
                self.save()
                if self.interrupt:
                    raise Interrupted

    def on_epoch_end(self, epoch, logs=None):
        self.image_losses[epoch] = self.model.image_losses.table()
        self.boxes.update(epoch, self.model.box_errors.table())
        self._evaluate(epoch, logs)
        cpu, wall = self.clock.read()
        rate = ops.numpy_of(self.model.optimizer.learning_rate)
        row = {"epoch": epoch, "learning_rate": float(rate)}
        row |= {name: float(value) for name, value in logs.items()}
        self.history.append(row | {"cpu_seconds": cpu, "wall_seconds": wall})
        if self.tensorboard is not None:
            for name, value in self.history[-1].items():
                if name != "epoch" and math.isfinite(value):
                    self.tensorboard.add_scalar(name, value, epoch)
            self.tensorboard.flush()
        self.position |= {"epoch": epoch + 1, "step": 0}
        self.first_step = 0
        if self.writes:
            self._write_histories()
        self.save()
        if self.interrupt and epoch + 1 < self.options.epochs:
            raise Interrupted

    # Parts of it ----------------------------------------------------------------------------------

    def _evaluate(self, epoch, logs):
        """COCO metrics of the averaged weights; the best ones are kept as model.keras."""
        last = epoch + 1 == self.options.epochs
        if (epoch + 1) % self.options.evaluation_interval and not last:
            return
        # The average of the last weights is a better detector than any of them: near the end they
        # circle around a minimum, and their mean lies inside (Polyak & Juditsky 1992).
        with AveragedWeights(self.model, self.copy) as detector:
            results = results_of(detector, self.validation)
            metrics = evaluation.coco_metrics(self.validation, results)
            logs |= {f"val_{k}": math.nan if v is None else v for k, v in metrics.items()}
            self._save_detector(detector, "last.keras")
            found, best = metrics["AP"] or 0.0, self.position["best"]
            # The later of two equal ones: on small sets AP is 0 for many epochs, and the first
            # model would stay the best of them.
            if best is None or found >= best:
                self.position |= {"best": found, "worse": 0}
                self._save_detector(detector, "model.keras")
            else:
                self.position["worse"] += 1
        ap50 = metrics["AP50"] or 0.0
        best = "" if self.position["worse"] else " (best)"
        line = f"epoch {epoch + 1}: validation AP {found:.3f}, AP50 {ap50:.3f}{best}"
        self._say(line + self._time_left(epoch + 1))
        if self.patience_is_over():
            self._say(f"no better AP in {self.options.patience} evaluations: stop")
            self.model.stop_training = True

    def _time_left(self, epochs):
        """Text for people: how long the rest takes at the pace of the `epochs` that are done."""
        # The first epoch compiles the step; without another one there is no pace.
        if len(self.history) < 2 or epochs == self.options.epochs:
            return ""
        first, now = self.history[0], self.clock.read()[1]
        pace = (now - first["wall_seconds"]) / (epochs - first["epoch"] - 1)
        return f"; {duration(pace * (self.options.epochs - epochs))} left"

    def _say(self, line):
        if self.writes:
            print(line, file=sys.stderr)

    def _save_detector(self, detector, name):
        if self.writes:
            save_detector(detector, self.run / name)

    def patience_is_over(self):
        return bool(self.options.patience) and self.position["worse"] >= self.options.patience

    def _write_histories(self):
        # Whole files each time, renamed into place: a line that is appended could be cut by a kill,
        # and would be written twice by a resumed run.
        names = list(dict.fromkeys(name for row in self.history for name in row))
        rows = [[row.get(name, math.nan) for name in names] for row in self.history]
        write_csv(self.run / "history.csv", names, rows, number=".6g")
        parts = [f"{part}_loss" for part in self.model.parts]
        records = self.train.records
        write_csv(
            self.run / "image_losses.csv",
            ("epoch", "image_id", "file_name", "loss", *parts),
            (
                (epoch, record.image_id, record.file_name, row.sum(), *row)
                for epoch, table in self.image_losses.items()
                for record, row in zip(records, table, strict=True)
                if np.isfinite(row).all()
            ),
            number=".6g",
            ids=("image_id",),
        )
        self.boxes.write(self.train, self.run / "box_history.csv")

    def _explain(self):
        table = self.model.image_losses.table()
        seen = ops.numpy_of(self.model.image_losses.seen) > 0
        bad = np.flatnonzero(seen & ~np.isfinite(table).all(axis=1))
        names = [
            f"{self.train.records[i].file_name!r} ({len(self.train.records[i])} boxes)"
            for i in bad[:8]
        ]
        more = f" and {len(bad) - 8} more" if len(bad) > 8 else ""
        where = f"epoch {self.position['epoch'] + 1}, step {self.position['step'] + 1}"
        kept = self.run / CHECKPOINT
        return (
            f"loss must stay finite. Received: a loss that is not, at {where}, from images "
            f"{', '.join(names) or 'unknown'}{more}; "
            + (f"{kept} holds the state before" if kept.exists() else "no checkpoint was written")
            + " (a lower --learning-rate often helps)"
        )


def tensorboard_writer(folder):
    """TensorBoard's own writer of event files; ValueError where TensorBoard is not installed."""
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise ValueError(
            '`tensorboard` must be installed for event files: pip install "boxloss[tensorboard]". '
            "Received: no module named tensorboard"
        ) from None
    return Writer(str(folder))
