"""The progress of an epoch, on one line of stderr."""

import sys
import time

import keras

COLUMNS = 79  # a full line of a terminal of 80 would wrap
REDRAW_SECONDS = 0.2


class Bar(keras.callbacks.Callback):
    """Epoch, step and losses: redrawn on a terminal, else one line at the end of an epoch.

    Keras' own bar counts from the place where `fit` begins. The rest of an epoch that was broken
    off is a `fit` of its own, and would show as "Epoch 3/3" of a run of 8.
    """

    def __init__(self, progress):
        super().__init__()
        self.progress = progress
        self._drawn = self._began = 0.0
        self._first = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._began, self._first = time.perf_counter(), self.progress.position["step"]
        self._drawn = 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if sys.stderr.isatty() and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._write("\r", self.progress.position["step"] + 1, logs, "")

    def on_epoch_end(self, epoch, logs=None):
        start = "\r" if sys.stderr.isatty() else ""
        self._write(start, self.progress.position["step"], logs, "\n")

    def _write(self, start, step, logs, end):
        progress = self.progress
        names = sorted((name for name in logs if "loss" in name), key=lambda name: name != "loss")
        losses = [f"{name} {logs[name]:.4f}" for name in names]
        per_step = (time.perf_counter() - self._began) / max(1, step - self._first)
        line = (
            f"Epoch {progress.position['epoch'] + 1}/{progress.options.epochs}  "
            f"step {step}/{progress.steps}  {'  '.join(losses)}  {per_step:.2f} s/step"
        )[:COLUMNS]
        # Blanks cover what a longer line before has left.
        sys.stderr.write(f"{start}{line:{COLUMNS}}{end}" if start else f"{line}{end}")
        sys.stderr.flush()
