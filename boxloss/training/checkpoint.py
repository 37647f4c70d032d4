"""The whole state of a run in one file: weights, optimizer, metrics, position, histories."""

import io
import json
import zipfile

import numpy as np

from boxloss.files import json_of, write_atomically
from boxloss.tensors import ops

# An .npz file and not Keras' own saving: that keeps layers and optimizer, but not the state of the
# metrics, and the image losses and sums per box of a broken epoch would be lost. numpy reads it
# without pickle.


def variables_of(model):
    """Every variable that a step changes, in a fixed order: also seeds and metrics."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def save(path, model, position, tables):
    """Write `path` (.npz): `position` is a dict for JSON, `tables` a dict of numpy arrays."""
    arrays = {f"v{i}": ops.numpy_of(v) for i, v in enumerate(variables_of(model))}
    arrays |= {f"t_{name}": table for name, table in tables.items()}
    arrays["position"] = np.frombuffer(json.dumps(position).encode(), "uint8")
    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read(path, content=None):
    """(position, tables, values) of a file that `save` wrote; ValueError for any other.

    content: its bytes, where another process has read them.
    """
    try:
        source = path if content is None else io.BytesIO(content)
        with np.load(source, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        position = json_of(arrays.pop("position").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: file must be a checkpoint of boxloss. Received: {error}"
        ) from None
    tables = {name[2:]: value for name, value in arrays.items() if name.startswith("t_")}
    count = sum(name.startswith("v") for name in arrays)
    return position, tables, [arrays[f"v{i}"] for i in range(count)]


def restore(path, model, values):
    """Put `values` into the model, its optimizer and its metrics (all built)."""
    # Variables are known by their order alone, which the options of the run decide: config.json is
    # compared before (`folder.check_resumed`).
    variables = variables_of(model)
    shapes = [tuple(variable.shape) for variable in variables]
    if [value.shape for value in values] != shapes:
        raise ValueError(
            f"{path}: checkpoint must come from a run with the same model and data. "
            f"Received: {len(values)} arrays for {len(variables)} variables, or other shapes"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
