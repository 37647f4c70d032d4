"""Where the time of a training step goes: waiting for data, the model, or loss and assignment."""

import statistics
import time

import keras

from boxloss.tensors import ops
from boxloss.training import checkpoint
from boxloss.training.model import TrainingModel

STEPS, COMPILING_STEPS = 25, 5  # timed steps and those before them, which compile and fill caches


class _OneBatch(keras.utils.PyDataset):
    """One batch again and again: nothing to wait for."""

    def __init__(self, batch, count):
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.batch


class _Steps(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds, self.began = [], None

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        if self.began is not None:
            self.seconds.append(now - self.began)
        self.began = now

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])  # waits for the device


class _Free(TrainingModel):
    """The same model and gradients with a loss that costs nothing."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # The gradient of a mean runs back through the whole network just the same. What the step is
        # shorter by is loss and assignment.
        return sum(ops.mean(output) for output in y_pred.values())


def _median_step(model, batch):
    steps = _Steps()
    model.fit(
        _OneBatch(batch, COMPILING_STEPS + STEPS), shuffle=False, verbose=0, callbacks=[steps]
    )
    return statistics.median(steps.seconds[COMPILING_STEPS:])


def profile(model, batches, step_seconds):
    """Medians in seconds and shares of a step.

    model: the compiled `TrainingModel` after its run; its variables are left as they were.
    batches: what it was trained on. step_seconds: the durations of the run's own steps.

    Returns a dict: step_seconds, and its shares "waiting", "model" and "loss" (with assignment).
    They are at least 0, and sum to 1 where no step of the run was faster than one on data at hand.
    """
    variables = checkpoint.variables_of(model)
    # The timed steps train on: without putting the variables back the run would end with a model
    # that is not the one it evaluated.
    saved = [ops.numpy_of(variable) for variable in variables]
    batch = batches[0]
    at_hand = _median_step(model, batch)
    free = _Free(model.detector, model.criterion, len(batches.dataset.records))
    free.compile(optimizer=type(model.optimizer).from_config(model.optimizer.get_config()))
    bare = _median_step(free, batch)
    for variable, value in zip(variables, saved, strict=True):
        variable.assign(value)
    # The first steps compile. If too few follow, report no waiting time.
    real = statistics.median(step_seconds[COMPILING_STEPS:] or [at_hand])
    real = max(real, at_hand)
    return {
        "step_seconds": round(real, 4),
        "waiting": round((real - at_hand) / real, 3),
        "model": round(min(bare, at_hand) / real, 3),
        "loss": round(max(at_hand - bare, 0.0) / real, 3),
    }
