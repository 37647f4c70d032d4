"""A detector with the moving averages of its weights, for evaluation and for its file."""

from boxloss.files import write_atomically
from boxloss.tensors import ops
from boxloss.training import processes


class AveragedWeights:
    """Within the block the detector that it gives has the moving averages of its weights.

    It is the model's own, or `copy`: of several processes each has one, which it can use without
    the others.
    """

    def __init__(self, model, copy=None):
        self.model, self.copy = model, copy
        self.raw = []

    def __enter__(self):
        # Under float16 Keras wraps the optimizer to scale the loss.
        optimizer = self.model.optimizer
        averages = getattr(optimizer, "inner_optimizer", optimizer).averages()
        variables = self.model.trainable_variables
        if self.copy is not None:
            # Only trained variables have an average; the statistics of batch normalisation are
            # copied.
            values = {id(v): value for v, value in zip(variables, averages, strict=True)}
            shared = self.model.detector.variables
            for variable, source in zip(self.copy.variables, shared, strict=True):
                value = values.get(id(source))
                variable.assign(ops.numpy_of(source) if value is None else value)
            return self.copy
        self.raw = [ops.numpy_of(variable) for variable in variables]
        for variable, value in zip(variables, averages, strict=True):
            variable.assign(value)
        return self.model.detector

    def __exit__(self, *error):
        if not self.raw:
            return
        for variable, value in zip(self.model.trainable_variables, self.raw, strict=True):
            variable.assign(value)


def detector_of_this_process(detector):
    """A detector of the same shape on a device of this process alone."""
    with processes.alone():
        return type(detector).from_config(detector.get_config())


def save_detector(detector, path):
    with write_atomically(path) as temporary:
        detector.save(temporary)
