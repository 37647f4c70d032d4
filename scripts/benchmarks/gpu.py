"""`scripts/benchmarks/gpu.py`: are losses and training right on this GPU, and how fast?

A loss with its gradient must read two boxes and write one gradient: 48 bytes per box in float32.
How near it comes is printed as a share of the bandwidth of a plain pass over the same card
(`x + 1`, which reads and writes 16 bytes per box).
"""

import contextlib
import json
import statistics
import sys
import tempfile
import time

from boxloss import cli

HELP = "Check losses and training on a GPU against the CPU; print images and bytes per second."
EPILOG = """examples:
  python scripts/benchmarks/gpu.py
  python scripts/benchmarks/gpu.py --backend jax --boxes 10000000
  python scripts/benchmarks/gpu.py --backend torch --device cpu --boxes 100000 --losses giou ciou

The exit status is 0 where everything agreed and the training loss fell, 1 where not; "failed" in
the JSON object on stdout names what.
"""
TOLERANCE = 1e-5  # of values, relative to 1 or more; of gradients, relative to the largest
PAIRS = 4000  # of boxes that are compared with the CPU
READ_AND_WRITTEN, COPIED = 48, 32  # bytes per box: two boxes and a gradient; one array to another


def add_arguments(parser):
    from boxloss.cli import BACKENDS

    number = "(default: %(default)s)"
    parser.add_argument(
        "--backend", choices=BACKENDS, help="of Keras (default: KERAS_BACKEND, else Keras' own)"
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help=number)
    parser.add_argument("--losses", nargs="+", help="of the registry (default: all box losses)")
    parser.add_argument("--boxes", type=int, default=10_000_000, help=f"of the timing {number}")
    parser.add_argument("--rounds", type=int, default=7, help=f"of the timing {number}")
    parser.add_argument("--image-size", type=int, default=320, help=f"of the training {number}")
    parser.add_argument("--batch-size", type=int, default=16, help=f"of the training {number}")
    parser.add_argument("--epochs", type=int, default=10, help=f"of the training {number}")


def run(args):
    """{"backend", "device", "copy_gb_per_s", "losses", "training", "failed"}."""
    import keras

    from boxloss import losses
    from boxloss.cli.train import check_backend
    from boxloss.tensors import checks, ops

    check_backend(args.backend)
    names = args.losses or losses.names("box")
    for name in names:
        checks.one_of("losses", name, losses.names("box"))
    result = {"backend": ops.backend(), "keras": keras.__version__, "device": device(args.device)}
    print(f"{result['backend']} on {result['device']}", file=sys.stderr)
    result["losses"] = {name: {"error": difference(name, args.device)} for name in names}
    copy = time_copy(args)
    result |= {"boxes": args.boxes, "copy_gb_per_s": round(COPIED * args.boxes / copy / 1e9, 2)}
    print(f"copy: {result['copy_gb_per_s']} GB/s", file=sys.stderr)
    for name, row in result["losses"].items():
        seconds = time_loss(name, args)
        share = READ_AND_WRITTEN / seconds / (COPIED / copy)
        row |= {"milliseconds": round(1e3 * seconds, 3), "share_of_copy": round(share, 4)}
        print(
            f"{name:14} differs by {row['error']:.1e}, {row['milliseconds']:10.3f} ms, "
            f"{100 * share:5.1f} % of the copy's bandwidth",
            file=sys.stderr,
        )
    result["training"] = train(args)
    result["failed"] = failures(result)
    for name in result["failed"]:
        print(f"failed: {name}", file=sys.stderr)
    return result


def failures(result):
    """The losses that differ from the CPU's, and "training" where the loss did not fall."""
    # `not <=`, so that NaN fails.
    wrong = [name for name, row in result["losses"].items() if not row["error"] <= TOLERANCE]
    training = result["training"]
    fell = training["last_loss"] < 0.9 * training["first_loss"]
    return wrong + ([] if fell else ["training"])


# Devices ------------------------------------------------------------------------------------------


def device(kind):
    """What the device is called; ValueError where there is no GPU."""
    from boxloss.tensors import ops

    if kind == "cpu":
        return "cpu"
    name = {"tensorflow": _tensorflow_gpu, "jax": _jax_gpu, "torch": _torch_gpu}[ops.backend()]()
    if name is None:
        raise ValueError(
            f"`--device` must be there: {ops.backend()} sees no GPU; --device cpu runs the same "
            "checks on the CPU. Received: 'gpu'"
        )
    return name


def _tensorflow_gpu():
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    if not cards:
        return None
    return tf.config.experimental.get_device_details(cards[0]).get("device_name", cards[0].name)


def _jax_gpu():
    import jax

    try:
        return jax.devices("gpu")[0].device_kind
    except RuntimeError:  # JAX has no such platform
        return None


def _torch_gpu():
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


# Losses -------------------------------------------------------------------------------------------


def example(boxes, images):
    """True boxes (images, boxes, 4) in pixels and predictions a few pixels off; float32."""
    import numpy as np

    rng = np.random.default_rng(0)
    center = 50 + 540 * rng.random((images, boxes, 2), "float32")
    size = 40 + 60 * rng.random((images, boxes, 2), "float32")
    y_true = np.concatenate([center - size / 2, center + size / 2], axis=-1)
    return y_true, y_true + rng.standard_normal(y_true.shape, "float32") * np.float32(5)


def loss_of(name, **arguments):
    from boxloss import losses

    needed = {"image_shape": (640, 640)} if name in ("mpdiou", "ltrb_l1") else {}
    return losses.get(name, **needed, **arguments)


def step_of(loss, y_true, y_pred):
    """A call that gives values and the gradient of their sum, both perhaps not yet computed."""
    from boxloss.tensors import ops

    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        def step():
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = loss(y_true, y_pred)
            return value, tape.gradient(value, y_pred)

    elif ops.backend() == "jax":
        import jax

        def total(y_pred, y_true):
            value = loss(y_true, y_pred)
            return value.sum(), value

        compiled = jax.jit(jax.grad(total, has_aux=True))

        def step():
            gradient, value = compiled(y_pred, y_true)
            return value, gradient

    else:

        def step():
            leaf = y_pred.detach().requires_grad_(True)
            value = loss(y_true, leaf)
            value.sum().backward()
            return value.detach(), leaf.grad

    return step


def difference(name, kind):
    """The largest difference of values and gradients from those of the CPU, box by box.

    Both the first call, operation by operation, and the fourth, compiled, are compared.
    """
    import keras
    import numpy as np

    from boxloss.tensors import ops

    boxes = example(1, PAIRS)  # one box per image: a value per box
    found = []
    for place in (kind, "cpu"):
        with keras.device(f"{place}:0"):
            step = step_of(loss_of(name, reduction=None), *boxes)
            calls = [step() for _ in range(4)]
        found.append([[ops.convert_to_numpy(x) for x in calls[i]] for i in (0, 3)])
    worst = 0.0
    for mine, other in zip(*found, strict=True):
        value = np.abs(mine[0] - other[0]) / np.maximum(1.0, np.abs(other[0]))
        gradient = np.abs(mine[1] - other[1]) / np.abs(other[1]).max()
        worst = np.fmax(worst, max(value.max(), gradient.max()))
        worst = worst if np.isfinite(mine[0]).all() and np.isfinite(mine[1]).all() else np.nan
    return float(worst)


# Time ---------------------------------------------------------------------------------------------


def time_loss(name, args):
    """Median seconds of value and gradient of `args.boxes` boxes."""
    import keras

    images = 16 if args.boxes % 16 == 0 else 1
    with keras.device(f"{args.device}:0"):
        step = step_of(loss_of(name), *example(args.boxes // images, images))
        return _median(lambda: step()[1], args)


def time_copy(args):
    """Median seconds of reading and writing an array of the boxes."""
    import keras

    from boxloss.tensors import ops

    with keras.device(f"{args.device}:0"):
        x = ops.convert_to_tensor(example(args.boxes, 1)[0])
        add = _jitted(lambda x: x + 1.0)
        return _median(lambda: add(x), args)


def _jitted(function):
    """On JAX `function` compiled: operation by operation, a copy waits for Python."""
    from boxloss.tensors import ops

    if ops.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def _median(call, args):
    inner = 10 if args.device == "gpu" else 1  # so that a launch and a wait do not count
    for _ in range(4):  # boxloss compiles at the third call
        _wait(call())
    times = []
    for _ in range(args.rounds):
        started = time.perf_counter()
        for _ in range(inner):
            outcome = call()
        _wait(outcome)
        times.append((time.perf_counter() - started) / inner)
    return statistics.median(times)


def _wait(tensor):
    """Until `tensor` is computed; reading a number of it would take as long as ten copies."""
    from boxloss.tensors import ops

    if ops.backend() == "jax":
        tensor.block_until_ready()
    elif ops.backend() == "torch":
        import torch

        if tensor.is_cuda:
            torch.cuda.synchronize(tensor.device)
    else:
        ops.convert_to_numpy(tensor[0, 0, 0])


# Training -----------------------------------------------------------------------------------------


def train(args):
    """A nano detector on 64 made pictures with Adam: first and last loss, images per second."""
    import keras

    from boxloss import training
    from boxloss.datasets import synthetic

    with tempfile.TemporaryDirectory() as folder, keras.device(f"{args.device}:0"):
        pictures = synthetic.write(f"{folder}/data", 64, seed=0, image_size=args.image_size)
        options = training.Options(
            optimizer="adam",
            image_size=args.image_size,
            batch_size=args.batch_size,
            epochs=args.epochs,
            evaluate_every=args.epochs,
            augment=False,
            profile=True,
        )
        with contextlib.redirect_stdout(sys.stderr):
            metrics = training.train(pictures, pictures, options, f"{folder}/run", verbose=0)
        losses = _losses(f"{folder}/run/history.csv")
    measured = {
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "images_per_second": round(args.batch_size / metrics["profile"]["step_seconds"], 1),
        "profile": metrics["profile"],
    }
    print(f"training: {json.dumps(measured)}", file=sys.stderr)
    return measured


def _losses(path):
    import csv

    with open(path, newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def main(argv=None):
    return cli.run_module("scripts/benchmarks/gpu.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
