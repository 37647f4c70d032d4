"""Pairs of boxes on which losses go wrong: (name, truth, prediction), xyxy.

All numbers are exact in float32. `ORDERED` pairs have no inverted side and no side of 0, `FLAT`
ones have a side of 0, `INVERTED` predictions have x2 < x1 or y2 < y1.
"""

import numpy as np

ORDERED = [
    ("shifted", [90, 95, 170, 190], [100, 80, 180, 200]),
    ("close", [14, 35, 49, 88], [12.5, 33.25, 47.75, 90.5]),
    ("small", [4, 2, 11, 19], [3, 4, 9, 21]),
    ("wide truth, tall prediction", [10, 40, 90, 52], [35, 8, 51, 96]),
    ("tall truth, wide prediction", [35, 8, 51, 96], [10, 40, 90, 52]),
    ("equal aspect, other size", [0, 0, 40, 20], [8, 6, 16, 10]),
    ("prediction inside", [0, 0, 100, 60], [30, 25, 50, 31]),
    ("prediction around", [30, 25, 50, 31], [0, 0, 100, 60]),
    ("inside, one shared side", [0, 0, 100, 60], [0, 25, 50, 31]),
    ("equal", [3, 5, 13, 9], [3, 5, 13, 9]),
    ("equal but one side", [3, 5, 13, 9], [3, 5, 13, 11]),
    ("same centre", [0, 0, 16, 8], [4, -2, 12, 10]),
    ("aligned in x", [0, 0, 16, 8], [0, 4, 16, 20]),
    ("touching side", [0, 0, 4, 6], [4, 1, 9, 5]),
    ("touching corner", [0, 0, 4, 6], [4, 6, 9, 8]),
    ("apart in x", [0, 0, 4, 6], [7, 1, 9, 5]),
    ("apart in both", [0, 0, 4, 6], [-9, 9, -5, 21]),
    ("far apart", [0, 0, 4, 6], [5000, -7000, 5012, -6995]),
    ("negative coordinates", [-50, -40, -20, -30], [-45, -44, -24, -29]),
    ("normalised", [0.125, 0.25, 0.5, 0.75], [0.1875, 0.125, 0.625, 0.6875]),
    ("tiny", [0, 0, 2.0**-20, 2.0**-19], [2.0**-21, -(2.0**-21), 2.0**-19, 2.0**-20]),
    ("tiny and apart", [0, 0, 2.0**-20, 2.0**-19], [2.0**-18, 0, 2.0**-17, 2.0**-19]),
    ("huge", [0, 0, 2.0**20, 2.0**19], [2.0**18, -(2.0**18), 2.0**20, 2.0**18]),
    ("tiny in huge", [0, 0, 2.0**20, 2.0**19], [2.0**-20, 2.0**-20, 2.0**-19, 2.0**-18]),
    ("thin and crossed", [0, 0, 1000, 2.0**-10], [500, -40, 500.0625, 80]),
    ("thin and parallel", [0, 0, 1000, 2.0**-10], [100, 2.0**-11, 900, 2.0**-9]),
]
FLAT = [
    ("prediction without width", [0, 0, 10, 6], [4, 1, 4, 5]),
    ("prediction without height", [0, 0, 10, 6], [4, 1, 8, 1]),
    ("prediction a point inside", [0, 0, 10, 6], [4, 1, 4, 1]),
    ("prediction a point outside", [0, 0, 10, 6], [24, 11, 24, 11]),
    ("truth without width", [4, 1, 4, 5], [0, 0, 10, 6]),
    ("truth a point", [4, 1, 4, 1], [0, 0, 10, 6]),
    ("both points, equal", [4, 1, 4, 1], [4, 1, 4, 1]),
    ("both points, apart", [4, 1, 4, 1], [9, 3, 9, 3]),
    ("both without width, equal", [4, 1, 4, 5], [4, 1, 4, 5]),
    ("both without width, overlapping", [4, 1, 4, 5], [4, 2, 4, 9]),
    ("both without width, apart", [4, 1, 4, 5], [6, 2, 6, 9]),
    ("crossed lines", [0, 3, 10, 3], [4, 0, 4, 9]),
    ("tiny far from a point", [2.0**20, 2.0**20, 2.0**20, 2.0**20], [0, 0, 2.0**-20, 2.0**-20]),
]
INVERTED = [
    ("inverted in x", [0, 0, 10, 6], [8, 1, 3, 5]),
    ("inverted in y", [0, 0, 10, 6], [3, 5, 8, 1]),
    ("inverted in both", [0, 0, 10, 6], [8, 5, 3, 1]),
    ("inverted and apart", [0, 0, 10, 6], [38, 5, 33, 9]),
    ("inverted by far", [0, 0, 10, 6], [500, -700, -800, 900]),
    ("both inverted", [10, 0, 0, 6], [8, 1, 3, 5]),
    ("inverted truth", [10, 6, 0, 0], [3, 1, 8, 5]),
]
ALL = ORDERED + FLAT + INVERTED


def arrays(pairs):
    """Truths and predictions (len(pairs), 4), float64."""
    return (
        np.array([truth for _, truth, _ in pairs], "float64"),
        np.array([prediction for _, _, prediction in pairs], "float64"),
    )
