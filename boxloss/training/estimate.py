"""About how long a run will take, from forward passes of its detector on this machine."""

import time

import numpy as np

from boxloss.detector import Detector
from boxloss.tensors import ops
from boxloss.training.options import Options

# A step is a forward pass, the gradients of inputs and filters, batch normalisation, assignment,
# losses and Adam. Measured, see docs/detector.md, "The recipe".
STEP_PER_FORWARD = 4.0
EVALUATION_PER_FORWARD = 1.5  # reading and fitting the image, NMS, COCO's metrics
START_SECONDS = 30.0  # tracing and compiling the step
IMAGES, REPEATS = 2, 2


def forward_seconds(detector: Detector, image_size: int) -> float:
    """Seconds per image of a forward pass of random pixels in a square, the best of `REPEATS`."""
    shape = (IMAGES, image_size, image_size, 3)
    pixels = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    found = []
    for _ in range(1 + REPEATS):  # the first one warms up
        began = time.perf_counter()
        outputs = detector(ops.convert_to_tensor(pixels), training=False)
        ops.numpy_of(outputs["logits"])  # waits for a device that works behind the program
        found.append(time.perf_counter() - began)
    return min(found[1:]) / IMAGES


def run_seconds(options: Options, images: int, validation_images: int, forward: float) -> float:
    """Seconds of a whole run, where a forward pass of an image takes `forward` seconds."""
    evaluations = -(-options.epochs // options.evaluation_interval) + 1  # of the best weights
    training = options.epochs * images * STEP_PER_FORWARD
    evaluating = evaluations * validation_images * EVALUATION_PER_FORWARD
    return START_SECONDS + (training + evaluating) * forward


def duration(seconds: float) -> str:
    """Seconds for people: "about 40 seconds", "about 12 minutes", "about 3.5 hours"."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} seconds"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"
