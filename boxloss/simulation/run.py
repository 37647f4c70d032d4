"""`simulate`: one loss on one point set, in chunks on all cores."""

import concurrent.futures
import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from boxloss import losses
from boxloss.simulation import loop
from boxloss.simulation.cases import CASES_PER_POINT, PROTOCOLS, point_set
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike

CHUNK = 10  # points: 3,430 boxes, whose intermediate tensors stay in a core's cache
THRESHOLDS = (0.5, 0.9, 0.99, 0.999)
DTYPES = ("float32", "float64")


def default_arguments(name: str, protocol: str = "zheng") -> dict[str, Any]:
    """What the simulation gives a loss whose own defaults mean pixels of an image.

    mpdiou, ltrb_l1: the image is the field that holds the disc. nwd: `constant` is the mean
    size of the objects, here the square root of the targets' area. sd: the largest small object has
    twice the targets' area.
    """
    rules = PROTOCOLS[checks.one_of("protocol", protocol, PROTOCOLS)]
    if name in ("ltrb_l1", "mpdiou"):
        return {"image_shape": rules.field}
    if name == "nwd":
        return {"constant": rules.target_area**0.5}
    if name == "sd":
        return {"largest_area": 2.0 * rules.target_area}
    return {}


@dataclasses.dataclass(frozen=True)
class Result:
    """What one loss did to every case. K is 200 ("zheng") or 120 ("tong"); P points."""

    loss: str
    arguments: dict
    points: np.ndarray  # (P, 2)
    point_errors: np.ndarray  # (K + 1, P), summed over the 343 cases of a point
    point_iou_losses: np.ndarray  # (K + 1, P), mean 1 - IoU of the cases of a point
    share_above: dict  # IoU threshold -> share of the final boxes above it
    never_overlap: float  # share of cases without overlap at every step 0 to K
    inverted: float  # share of the final boxes with a width or height <= 0
    settings: dict
    seconds: float  # wall, the compilation included
    compile_seconds: float
    cpu_seconds: float

    @property
    def errors(self) -> np.ndarray:
        """E_0 ... E_K: |dx| + |dy| + |dw| + |dh| of centre and size, summed over all cases."""
        return self.point_errors.sum(axis=1)

    @property
    def iou_losses(self) -> np.ndarray:
        """Mean 1 - IoU over all cases at steps 0 to K."""
        return self.point_iou_losses.mean(axis=1)

    @property
    def sum(self) -> float:
        """E_1 + ... + E_K, the "total error"."""
        return float(self.errors[1:].sum())

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON holds them: None where a sum is not finite."""
        return {
            "arguments": self.arguments,
            "errors": [_finite(x) for x in self.errors],
            "iou_losses": [_finite(x) for x in self.iou_losses],
            "sum": _finite(self.sum),
            "share_above": {str(t): share for t, share in self.share_above.items()},
            "never_overlap": self.never_overlap,
            "inverted": self.inverted,
            "seconds": round(self.seconds, 3),
            "compile_seconds": round(self.compile_seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }


def _finite(x):
    return float(x) if np.isfinite(x) else None


def check_settings(protocol, parametrization, dtype):
    """The `Protocol` and the parametrization (the protocol's own where None is given)."""
    protocol = PROTOCOLS[checks.one_of("protocol", protocol, PROTOCOLS)]
    parametrization = checks.one_of(
        "parametrization", parametrization or protocol.parametrization, loop.PARAMETRIZATIONS
    )
    checks.one_of("dtype", dtype, DTYPES)
    if ops.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            "`KERAS_BACKEND` must be 'tensorflow' or 'jax' for the simulation. "
            f"Received: KERAS_BACKEND={ops.backend()!r}"
        )
    if ops.backend() == "jax" and dtype == "float64":
        import jax

        if not jax.config.jax_enable_x64:
            raise ValueError(
                "`dtype` must be 'float32' on JAX unless the environment has JAX_ENABLE_X64=1. "
                f"Received: dtype={dtype!r}"
            )
    return protocol, parametrization


def get_loss(name, arguments, protocol, dtype):
    """The loss of kind box called `name`, in xyxy, and the arguments it was given."""
    checks.one_of("loss", name, losses.names("box"))
    arguments = {**default_arguments(name, protocol.name), **(arguments or {})}
    for own in ("bounding_box_format", "dtype"):
        if own in arguments:
            raise ValueError(
                f"`arguments` must not set {own!r}, which the simulation sets itself. "
                f"Received: arguments={arguments!r}"
            )
    owner = next(loss for loss in losses.LOSSES if loss.name == name)
    checks.arguments_of("arguments", arguments, owner)
    return losses.get(name, dtype=dtype, **arguments), arguments


def _chunk_program(loss, protocol, parametrization, dtype, cases):
    """The compiled walk of all cases of CHUNK points (CHUNK, 2)."""
    targets, anchors = (sizes.astype(dtype) for sizes in protocol.targets_and_anchors())
    center = np.asarray(protocol.center, dtype)
    truth = np.concatenate([center - targets / 2, center + targets / 2], axis=-1)  # (343, 4)

    def observe(y_true, y_pred, apart):
        return ops.sum(loop.side_errors(y_true, y_pred), axis=-1), ops.mean(apart, axis=-1)

    def program(points):
        middle = points[:, None, :]  # (CHUNK, 1, 2)
        half = ops.convert_to_tensor(anchors / 2)[None]
        start = ops.concatenate([middle - half, middle + half], axis=-1)
        y_true = ops.broadcast_to(ops.convert_to_tensor(truth)[None], start.shape)
        shapes = [(CHUNK,), (CHUNK,)]
        final, apart, overlapped, (errors, iou_losses) = loop.walk(
            loss, protocol, parametrization, y_true, start, cases, observe, shapes
        )
        iou = 1.0 - apart

        def count(condition):
            return ops.sum(ops.cast(condition, "int32"), axis=-1)

        above = ops.stack([count(ops.greater(iou, t)) for t in THRESHOLDS])
        ordered = ops.all(ops.greater(final[..., 2:], final[..., :2]), axis=-1)
        alone = count(ops.logical_not(overlapped))
        return errors, iou_losses, above, alone, count(ops.logical_not(ordered))

    return loop.compiled(program, np.zeros((CHUNK, 2), dtype))


def _chunks(points):
    """(CHUNK, 2) arrays, the last one filled with its last point."""
    for start in range(0, len(points), CHUNK):
        chunk = points[start : start + CHUNK]
        yield np.concatenate([chunk, np.repeat(chunk[-1:], CHUNK - len(chunk), axis=0)])


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def simulate(
    loss: str,
    *,
    points: str = "vogel500",
    protocol: str = "zheng",
    parametrization: str | None = None,
    dtype: str = "float32",
    arguments: dict[str, Any] | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> Result:
    """Move every case of a point set by a loss's exact gradient.

    Args:
        loss: the name of a loss of kind "box".
        points: "vogelN", "matlab5000" or "randomN" (with `seed`); 343 cases a point.
        protocol: "zheng": 200 steps of x - eta (2 - IoU) dL/dx, eta 0.1, from step 161 0.01, from
            step 181 0.001. "tong": 120 steps of Adam with rate 0.01.
        parametrization: what the gradient is taken in, "cxcywh" (default of zheng) or "xyxy"
            (default of tong).
        dtype: "float32" or "float64".
        arguments: the loss's own arguments; see `default_arguments`.
        workers: chunks at work at once, the number of cores by default.
        progress: called with (chunks done, chunks) after every chunk.

    Returns: a `Result`. A KeyboardInterrupt leaves within a chunk's time.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    rules, parametrization = check_settings(protocol, parametrization, dtype)
    tensor_loss, arguments = get_loss(loss, arguments, rules, dtype)
    placed = point_set(points, rules, seed)
    cases = len(placed) * CASES_PER_POINT
    program = _chunk_program(tensor_loss, rules, parametrization, dtype, cases)
    chunks = list(_chunks(placed.astype(dtype)))
    program(chunks[0])  # compiles
    compiled = time.perf_counter()

    def work(chunk):
        return [ops.convert_to_numpy(part) for part in program(chunk)]

    workers = _cores() if workers is None else checks.count("workers", workers)
    done = _map(work, chunks, workers, progress)
    errors, iou_losses, above, alone, unordered = (
        np.concatenate(parts, axis=-1)[..., : len(placed)] for parts in zip(*done, strict=True)
    )
    return Result(
        loss=loss,
        arguments=arguments,
        points=placed,
        point_errors=errors.astype("float64"),
        point_iou_losses=iou_losses.astype("float64"),
        share_above={t: float(n) / cases for t, n in zip(THRESHOLDS, above.sum(-1), strict=True)},
        never_overlap=float(alone.sum()) / cases,
        inverted=float(unordered.sum()) / cases,
        settings={
            "points": points,
            "protocol": rules.name,
            "parametrization": parametrization,
            "dtype": dtype,
            "backend": ops.backend(),
            "cases": cases,
        },
        seconds=time.perf_counter() - started,
        compile_seconds=compiled - started,
        cpu_seconds=time.process_time() - cpu_started,
    )


def _map(work, chunks, workers, progress):
    """[work(chunk) for chunk in chunks] on `workers` threads; compiled code leaves the GIL free."""
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(work, chunk) for chunk in chunks]
        for n, _ in enumerate(concurrent.futures.as_completed(futures), start=1):
            if progress is not None:
                progress(n, len(chunks))
        return [future.result() for future in futures]
    finally:
        # After an interrupt the chunks that have not begun are dropped.
        pool.shutdown(wait=True, cancel_futures=True)


def _evaluated(program, *arrays):
    """`program(*arrays)` compiled, as numpy."""
    return np.asarray(ops.convert_to_numpy(loop.compiled(program, *arrays)(*arrays)))


def trajectory(
    loss: str,
    y_true: ArrayLike,
    start: ArrayLike,
    *,
    protocol: str = "zheng",
    parametrization: str | None = None,
    dtype: str = "float64",
    arguments: dict[str, Any] | None = None,
) -> np.ndarray:
    """The way of boxes `start` to `y_true`, xyxy (n, 4) both: (K + 1, n, 4), in a float array.

    Arguments as in `simulate`. Adam's mean is over the n boxes.
    """
    protocol, parametrization = check_settings(protocol, parametrization, dtype)
    tensor_loss, _ = get_loss(loss, arguments, protocol, dtype)
    y_true, start = (np.array(box, dtype, ndmin=2) for box in (y_true, start))
    checks.boxes(y_true, start, rank=2)
    count = len(start)

    def program(y_true, start):
        *_, (way,) = loop.walk(
            tensor_loss,
            protocol,
            parametrization,
            y_true,
            start,
            count,
            lambda y_true, y_pred, apart: (y_pred,),
            [start.shape],
        )
        return way

    return _evaluated(program, y_true, start)


def descent_direction(
    loss: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    parametrization: str = "xyxy",
    dtype: str = "float64",
    arguments: dict[str, Any] | None = None,
) -> np.ndarray:
    """Minus the gradient of every box's error (n, 4) in "xyxy" or "cxcywh"; boxes xyxy (n, 4)."""
    protocol, parametrization = check_settings("zheng", parametrization, dtype)
    tensor_loss, _ = get_loss(loss, arguments, protocol, dtype)
    y_true, y_pred = (np.array(box, dtype, ndmin=2) for box in (y_true, y_pred))
    checks.boxes(y_true, y_pred, rank=2)

    def program(y_true, y_pred):
        state = loop.parametrize(y_pred, parametrization)
        slopes = loop.slope(tensor_loss, y_true, state, parametrization)
        return -ops.stack(slopes, axis=-1)

    return _evaluated(program, y_true, y_pred)
