"""Loss and gradient of any loss beside ciou's, on the backend in use: ratios of medians.

    KERAS_BACKEND=jax python scripts/benchmarks/beside_ciou.py --losses sd gcd fgl iou3d

TensorFlow: an eager call under a GradientTape. JAX: a jitted value_and_grad. PyTorch: a call and
backward. All calls of a round follow each other, so that other work on the machine hits them alike.
A loss reads more than a box where its kind holds more: `numbers` says how many, beside ciou's 8.
"""

import argparse
import json
import statistics
import sys
import time

import numpy as np

import boxloss
from boxloss.tensors import ops

REQUIRED = {name: {"image_shape": (480, 640)} for name in ("ltrb_l1", "mpdiou")}


def boxes(rng, count):
    corner, size = rng.uniform(0, 400, (count, 2)), rng.uniform(5, 100, (count, 2))
    return np.concatenate([corner, corner + size], axis=-1)


def example(loss, count):
    """`y_true`, `y_pred` (1, count, ...): predictions that overlap more or less."""
    rng = np.random.default_rng(0)
    true = boxes(rng, count)
    pred = true + rng.normal(0, 10, true.shape)
    center = [(x[:, :2] + x[:, 2:]) / 2 for x in (true, pred)]
    sides = [np.abs(x[:, 2:] - x[:, :2]) for x in (true, pred)]
    turn = rng.uniform(-1, 1, (2, count, 1))
    if loss.kind == "rotated":
        true, pred = (np.concatenate(parts, -1) for parts in zip(center, sides, turn, strict=True))
    elif loss.kind == "box3d":
        z, height = rng.uniform(0, 9, (2, count, 1)), rng.uniform(9, 30, (2, count, 1))
        parts = zip(center, z, sides, height, turn, strict=True)
        true, pred = (np.concatenate(part, -1) for part in parts)
    elif loss.kind == "uncertainty":
        pred = np.concatenate([pred, rng.normal(0, 1, pred.shape)], -1)
    elif loss.kind == "distribution":
        true, pred = rng.uniform(-1, 2, (count, 4)), rng.normal(0, 2, (count, 4 * loss.bins))
        if loss.name == "ddf":
            teacher, rest = rng.normal(0, 2, pred.shape), rng.uniform(0, 1, (count, 2))
            true = np.concatenate([teacher, rest], -1)
    elif loss.kind == "class":
        pred = rng.normal(0, 2, (count, 8))
        true = np.stack([rng.integers(0, 8, count), rng.uniform(0, 1, count)], -1)
        true = true if len(loss.true_shape) == 3 else true[:, 0]
    return true[None].astype("float32"), pred[None].astype("float32")


def call_of(loss, y_true, y_pred):
    """A function that computes value and gradient, and waits for both."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        def call():
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = loss(y_true, y_pred)
            return tape.gradient(value, y_pred).numpy()

    elif ops.backend() == "jax":
        import jax

        both = jax.jit(jax.value_and_grad(lambda pred: loss(y_true, pred)))

        def call():
            return jax.block_until_ready(both(y_pred))

    else:

        def call():
            pred = y_pred.detach().requires_grad_(True)
            loss(y_true, pred).backward()
            return pred.grad

    return call


def run(losses, count, rounds):
    """{loss: {"ms", "of_ciou", "numbers"}}: medians, of ratios of each round."""
    calls, numbers = {}, {}
    for name in dict.fromkeys(["ciou", *losses]):
        loss = boxloss.get(name, **REQUIRED.get(name, {}))
        y_true, y_pred = example(loss, count)
        calls[name], numbers[name] = call_of(loss, y_true, y_pred), y_true[0].size + y_pred[0].size
        for _ in range(4):  # boxloss compiles at the third call
            calls[name]()
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {
        name: {
            "ms": round(1e3 * statistics.median(values), 3),
            "of_ciou": round(
                statistics.median(a / b for a, b in zip(values, times["ciou"], strict=True)), 2
            ),
            "numbers": numbers[name] // count,
        }
        for name, values in times.items()
    }


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", nargs="+", default=boxloss.names())
    parser.add_argument("--boxes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args(argv)
    result = run(args.losses, args.boxes, args.rounds)
    for name, row in result.items():
        print(
            f"{name:16} {row['ms']:9.3f} ms  {row['of_ciou']:7.2f} of ciou  "
            f"{row['numbers']:4} numbers per box",
            file=sys.stderr,
        )
    print(json.dumps({"backend": ops.backend(), "boxes": args.boxes, "losses": result}))


if __name__ == "__main__":
    main()
