"""The cases of the regression simulation: point sets, targets, anchors.

At every point are 49 anchors (7 areas, 7 shapes), and each is moved to each of 7 targets, which
share one centre: 343 cases a point.
"""

import dataclasses
import re

import numpy as np

from boxloss.types import ArrayLike

MAX_POINTS = 1_000_000
CASES_PER_POINT = 343

# (width, height) of area 1 with w : h = 1:4, 1:3, 1:2, 1:1, 2:1, 3:1, 4:1.
_TALL = [(1 / 2, 2.0), (1 / 3**0.5, 3**0.5), (1 / 2**0.5, 2**0.5)]
SHAPES = np.array([*_TALL, (1.0, 1.0), *(side[::-1] for side in reversed(_TALL))])  # (7, 2)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One published set-up. Lengths are in the simulation's own unit.

    `rates` holds the step size of every step. `optimizer` is "descent" (a step is rate * (2 - IoU)
    * gradient, IoU and gradient at the old box) or "adam".
    """

    name: str
    optimizer: str
    rates: tuple
    center: tuple
    radius: float
    dense_center: bool
    target_area: float
    anchor_areas: tuple
    parametrization: str  # the default
    field: tuple  # height, width of the field that holds the disc
    source: str

    @property
    def steps(self):
        return len(self.rates)

    def distance(self, u):
        """Distance from the centre of the point whose uniform number is `u`."""
        if self.dense_center:
            return self.radius * np.log(u * (np.exp(3.0) - 1.0) + 1.0) / 3.0
        return self.radius * np.sqrt(u)

    def targets_and_anchors(self):
        """Sizes (w, h) of the 343 cases of a point, (343, 2) each: target, scale, shape."""
        areas = np.sqrt(self.anchor_areas)[:, None, None]
        anchors = (areas * SHAPES).reshape(-1, 2)  # (49, 2), shape fastest
        targets = np.sqrt(self.target_area) * SHAPES
        return np.repeat(targets, len(anchors), axis=0), np.tile(anchors, (len(targets), 1))


PROTOCOLS = {
    "zheng": Protocol(
        name="zheng",
        optimizer="descent",
        rates=(0.1,) * 160 + (0.01,) * 20 + (0.001,) * 20,
        center=(10.0, 10.0),
        radius=3.0,
        dense_center=False,
        target_area=1.0,
        anchor_areas=(0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0),
        parametrization="cxcywh",
        field=(20.0, 20.0),
        source="Zheng et al. 2020, arXiv:1911.08287, section 3",
    ),
    "tong": Protocol(
        name="tong",
        optimizer="adam",
        rates=(0.01,) * 120,
        center=(0.5, 0.5),
        radius=0.5,
        dense_center=True,
        target_area=1 / 32,
        anchor_areas=(1 / 32, 1 / 24, 3 / 64, 1 / 16, 1 / 12, 3 / 32, 1 / 8),
        parametrization="xyxy",
        field=(1.0, 1.0),
        source="Tong et al. 2023, arXiv:2301.10051, with the constants of its published script",
    ),
}


def _count(name, digits):
    count = int(digits) if len(digits) <= 7 else MAX_POINTS + 1
    if not 1 <= count <= MAX_POINTS:
        raise ValueError(f"`points` must name 1 to {MAX_POINTS} points. Received: points={name!r}")
    return count


def point_set(name: str, protocol: str | Protocol = "zheng", seed: int = 0) -> np.ndarray:
    """The points (P, 2) of a set, float64, in a protocol's disc.

    - "vogelN": an even spiral of N points, the same doubles on every platform.
    - "matlab5000": 5,000 points of the stream that a fresh MATLAB session gives.
    - "randomN": N points drawn with `seed`.
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    match = re.fullmatch(r"(vogel|random)([0-9]+)", name) if isinstance(name, str) else None
    if name == "matlab5000":
        numbers = np.random.RandomState(5489).random_sample(10000)
        u, angle = numbers[:5000], 2 * np.pi * numbers[5000:]
    elif match is None:
        raise ValueError(
            "`points` must be 'vogelN', 'randomN' or 'matlab5000', N the number of points. "
            f"Received: points={name!r}"
        )
    elif match[1] == "vogel":
        i = np.arange(_count(name, match[2])) + 0.5
        u, angle = i / len(i), i * np.pi * (3 - 5**0.5)
    else:
        numbers = np.random.default_rng(seed).random((2, _count(name, match[2])))
        u, angle = numbers[0], 2 * np.pi * numbers[1]
    distance = protocol.distance(u)
    x = protocol.center[0] + distance * np.cos(angle)
    y = protocol.center[1] + distance * np.sin(angle)
    points = np.stack([x, y], axis=-1)
    # Rounding makes the doubles of the spiral independent of the platform's sine.
    return np.round(points, 6) if match and match[1] == "vogel" else points


def case(
    point: ArrayLike, protocol: Protocol, target: int, scale: int, shape: int
) -> tuple[np.ndarray, np.ndarray]:
    """Truth and start of one case, xyxy (4,) each; indices from 0 to 6."""
    targets, anchors = protocol.targets_and_anchors()
    index = (target * 7 + scale) * 7 + shape
    center, point = np.array(protocol.center), np.asarray(point, dtype="float64")

    def box(middle, size):
        return np.concatenate([middle - size / 2, middle + size / 2])

    return box(center, targets[index]), box(point, anchors[index])
