"""The tensors of a PyTorch file of the format before 1.6, without PyTorch and without its pickle.

Such a file is five pickles (a magic number, a version, the machine, the dict of tensors, the keys
of the storages) and then the numbers of each storage. A pickle may name any function and call it.
Here it may name two things: the function that puts a tensor together, of which only the arguments
are kept, and an ordered dict. Every other name is refused before anything is called.
"""

import collections
import math
import os
import pickle
from typing import Any, NamedTuple

import numpy as np

from boxloss.files import one_line, shortened
from boxloss.types import PathLike

MAGIC = 0x1950A86A20F9469CFC6C
BYTES_LIMIT = 2**30  # of the file; a storage cannot be larger than what is left of it
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
}


class _Storage(NamedTuple):
    """What the pickle says of a storage: its key in the file, its type, how many numbers it has."""

    key: Any
    kind: Any
    count: Any


class _Tensor(NamedTuple):
    storage: Any
    offset: Any
    shape: Any
    strides: Any


def _tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in DTYPES:
            return name  # a word, which no pickle can call
        raise pickle.UnpicklingError(f"a pickle that names {module}.{name}")

    def persistent_load(self, pid):
        _, kind, key, _, count, _ = pid
        return _Storage(key, kind, count)


def read_tensors(path: PathLike) -> dict[str, np.ndarray]:
    """{name: array} of a `state_dict` that PyTorch saved before version 1.6.

    ValueError for any other file, one that is cut, and one whose pickle names anything else.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > BYTES_LIMIT:
                raise ValueError(f"a file of more than {BYTES_LIMIT} bytes")
            return _read(file)
    except Exception as error:  # a damaged pickle may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{one_line(path)}: file must hold the tensors of a PyTorch model, in the format "
            f"before PyTorch 1.6. Received: {shortened(reason)}"
        ) from None


def _read(file):
    if file.read(2) == b"PK":
        raise ValueError("a zip archive, the newer format")
    file.seek(0)
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("no such file of PyTorch")
    _Unpickler(file).load()  # the version
    _Unpickler(file).load()  # byte order and sizes of the machine
    tensors = _Unpickler(file).load()
    keys = _Unpickler(file).load()
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in tensors.values()}
    storages = {key: _storage(file, np.dtype(DTYPES[kinds[key]])) for key in keys}
    return {
        str(name): _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()
    }


def _storage(file, dtype):
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    left = os.fstat(file.fileno()).st_size - file.tell()
    if not 0 <= count * dtype.itemsize <= left:
        raise ValueError("a file that is cut")
    return np.frombuffer(file.read(count * dtype.itemsize), dtype)


def _array(tensor, storage):
    """The array of a `_Tensor`; none of its numbers lies outside of the storage."""
    offset, shape, strides = tensor.offset, tuple(tensor.shape), tuple(tensor.strides)
    whole = all(type(number) is int and number >= 0 for number in (offset, *shape, *strides))
    # numpy would read memory of this process where a file lies about its strides.
    if not whole or len(shape) != len(strides):
        raise ValueError(f"a tensor of shape {shape}")
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    # A stride of 0 would make many numbers of one: more than the file holds.
    if math.prod(shape) > storage.size or math.prod(shape) and last >= storage.size:
        raise ValueError(f"a tensor of shape {shape} in a storage of {storage.size}")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()
