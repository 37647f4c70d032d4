"""Files of PyTorch's old format are read without PyTorch, and run nothing."""

import collections
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest

from boxloss.detector.torch_file import MAGIC, read_tensors

KINDS = {"<f4": "FloatStorage", "<i8": "LongStorage"}
RAN = []


class Storage:
    def __init__(self, key, values):
        self.key, self.values = key, values


class Tensor:
    """A view of a storage, pickled as PyTorch pickles its tensors."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        kind = getattr(sys.modules["torch"], KINDS[value.values.dtype.str])
        return ("storage", kind, value.key, "cpu", len(value.values), None)


@pytest.fixture(autouse=True)
def fake_torch(monkeypatch):
    """Names to pickle, where PyTorch need not be installed."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = named(lambda *_: None, "torch._utils", "_rebuild_tensor_v2")
    for name in KINDS.values():
        setattr(torch, name, named(type(name, (), {}), "torch", name))
    torch._utils = utils
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def named(value, module, name):
    value.__module__, value.__qualname__ = module, name
    return value


def write(path, tensors, storages, magic=MAGIC):
    with open(path, "wb") as file:
        for header in (magic, 1001, {"little_endian": True}):
            pickle.dump(header, file, protocol=2)
        Pickler(file, protocol=2).dump(collections.OrderedDict(tensors))
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            file.write(struct.pack("<q", len(storage.values)) + storage.values.tobytes())
    return path


def test_views_of_storages_are_read_as_arrays(tmp_path):
    numbers = Storage("11", np.arange(20, dtype="<f4"))
    counts = Storage("7", np.array([3], "<i8"))
    tensors = {
        "rows": Tensor(numbers, 2, (2, 3), (3, 1)),
        "transposed": Tensor(numbers, 8, (3, 2), (1, 4)),
        "count": Tensor(counts, 0, (), ()),
        "empty": Tensor(numbers, 0, (0, 5), (5, 1)),
    }
    found = read_tensors(write(tmp_path / "a.pth", tensors, [numbers, counts]))
    np.testing.assert_array_equal(found["rows"], [[2, 3, 4], [5, 6, 7]])
    np.testing.assert_array_equal(found["transposed"], [[8, 12], [9, 13], [10, 14]])
    assert found["count"] == 3 and found["count"].dtype == "int64"
    assert found["empty"].shape == (0, 5) and list(found) == list(tensors)


class Hostile:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "hostile, name",
    [
        (Hostile(os.system, "touch ran"), "system"),
        (Hostile(RAN.append, 1), "getattr"),
        (Hostile(eval, "RAN.append(1)"), "eval"),
    ],
)
@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_names_anything_else_is_refused_and_runs_nothing(
    tmp_path, monkeypatch, hostile, name, place
):
    monkeypatch.chdir(tmp_path)
    parts = [MAGIC, 1001, {}, {}, []]
    parts[place] = hostile
    with open("a.pth", "wb") as file:
        for part in parts:
            pickle.dump(part, file, protocol=2)
    with pytest.raises(ValueError, match=f"Received: a pickle that names .*{name}"):
        read_tensors("a.pth")
    assert not RAN and os.listdir() == ["a.pth"]


@pytest.mark.parametrize(
    "offset, shape, strides",
    [(0, (4, 5), (6, 1)), (1, (20,), (1,)), (-1, (3,), (1,)), (0, (2,), (-1,)), (0, (99,), (0,))],
)
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, offset, shape, strides):
    numbers = Storage("0", np.arange(20, dtype="<f4"))
    path = write(tmp_path / "a.pth", {"x": Tensor(numbers, offset, shape, strides)}, [numbers])
    with pytest.raises(ValueError, match="Received: a tensor of shape"):
        read_tensors(path)


def test_what_is_no_such_file_is_one_line(tmp_path):
    numbers = Storage("0", np.arange(20, dtype="<f4"))
    whole = write(tmp_path / "a.pth", {"x": Tensor(numbers, 0, (20,), (1,))}, [numbers])
    (tmp_path / "zip.pth").write_bytes(b"PK\3\4" + bytes(40))
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:-8])
    (tmp_path / "text.pth").write_text("weights")
    write(tmp_path / "magic.pth", {}, [], magic=5)
    reasons = {
        "zip": "a zip archive, the newer format",
        "cut": "a file that is cut",
        "text": "",
        "magic": "no such file of PyTorch",
        "absent": "[Errno 2] No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError) as error:
            read_tensors(tmp_path / f"{name}.pth")
        start = f"{tmp_path / name}.pth: file must hold the tensors of a PyTorch model, in the "
        assert str(error.value).startswith(start + "format before PyTorch 1.6. Received: " + reason)
        assert "\n" not in str(error.value)
