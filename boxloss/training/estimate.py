"""About how long a run will take, from forward passes of its detector on this machine."""

import time

import numpy as np

from boxloss.detector import Detector
from boxloss.tensors import ops
from boxloss.training.options import Options

# A step is a forward pass, the gradients of inputs and filters, batch normalisation, assignment,
# losses and Adam. Measured, see docs/detector.md, "The recipe".
STEP_PER_FORWARD = 3.0
EVALUATION_PER_FORWARD = 1.5  # reading and fitting the image, NMS, COCO's metrics
START_SECONDS = 30.0  # tracing and compiling the step
FEW, MANY, REPEATS = 2, 8, 2  # images of a pass; passes that are timed


def forward_seconds(detector: Detector, image_size: int) -> float:
    """How many seconds one more image adds to a forward pass, in a square of random pixels.

    A single pass would count what Python takes to call each layer, which a compiled step does not
    have: on a small detector most of it.
    """
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (MANY, image_size, image_size, 3)).astype("float32")
    few, many = (_best_pass(detector, pixels[:count]) for count in (FEW, MANY))
    # Beside other work the short pass may take as long as the long one.
    return max(many - few, 0.1 * many) / (MANY - FEW)


def _best_pass(detector, pixels):
    images, found = ops.convert_to_tensor(pixels), []
    for _ in range(1 + REPEATS):  # the first one warms up
        began = time.perf_counter()
        outputs = detector(images, training=False)
        ops.numpy_of(outputs["logits"])  # waits for a device that works behind the program
        found.append(time.perf_counter() - began)
    return min(found[1:])


def run_seconds(options: Options, images: int, validation_images: int, forward: float) -> float:
    """Seconds of a whole run, where a forward pass of an image takes `forward` seconds."""
    evaluations = -(-options.epochs // options.evaluation_interval) + 1  # of the best weights
    training = options.epochs * images * STEP_PER_FORWARD
    evaluating = evaluations * validation_images * EVALUATION_PER_FORWARD
    # All is counted in forward passes: their time depends on machine, side and network as that of a
    # step does.
    return START_SECONDS + (training + evaluating) * forward
