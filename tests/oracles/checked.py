"""How the numbers of `checked_rows.py` are made: python tests/oracles/checked.py

Prints each row that the oracles give: value, and gradient by fourth-order central differences with
the constants of the gradient held (`at`). Nothing here imports boxloss.
"""

import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from checked_rows import ARGUMENTS, LOG_VARIANCES, PAIRS, ROWS  # noqa: E402

from oracles import ORACLES, rotated  # noqa: E402

# Of the coordinates. Small, because a threshold of some rows is exactly at a difference of pair C.
STEP = 1e-6


def kl(difference, a):
    """He et al. 2019, arXiv:1809.08545, eqs. 9 and 10: the square ends at 1."""
    d = abs(difference)
    return math.exp(-a) * (d * d / 2 if d <= 1 else d - 0.5) + a / 2


def gaussian_nll(difference, a):
    return (difference**2 * math.exp(-a) + a + math.log(2 * math.pi)) / 2


SPREAD = {"kl": kl, "gaussian_nll": gaussian_nll}


def cost_of(row, pair):
    """A function of the prediction, and the prediction of the pair."""
    name, arguments = ARGUMENTS[row]
    prediction, truth = PAIRS[pair]
    if name in SPREAD:

        def cost(moved):
            rows = zip(moved, truth, LOG_VARIANCES, strict=True)
            return sum(SPREAD[name](p - t, a) for p, t, a in rows)

    elif name in rotated.ORACLES:

        def cost(moved):
            return rotated.ORACLES[name](truth, moved, **arguments)

    else:

        def cost(moved):
            return ORACLES[name](truth, moved, at=prediction, **arguments)

    return cost, prediction


def derivative(cost, point, i):
    """(f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12h, of the coordinate `i`."""
    total = 0.0
    for steps, factor in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):
        moved = [float(x) for x in point]
        moved[i] += steps * STEP
        total += factor * cost(moved)
    return total / (12 * STEP)


def checked(row, pair):
    """(value, gradient) of one row."""
    cost, prediction = cost_of(row, pair)
    gradient = [derivative(cost, prediction, i) for i in range(len(prediction))]
    return cost([float(x) for x in prediction]), gradient


def main():
    for row, pair, *_ in ROWS:
        value, gradient = checked(row, pair)
        typed = ", ".join(f"{x + 0.0:.7g}" for x in gradient)
        print(f'    ("{row}", "{pair}", {value:.10g}, ({typed})),')


if __name__ == "__main__":
    main()
