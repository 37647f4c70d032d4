"""Losses written from the papers in plain float64 Python, one pair at a time.

Nothing here imports boxloss. `ORACLES[name](y_true, y_pred, at=y_pred, **arguments)` gives one
number for two boxes of four; `at` is the prediction at which the constants of the gradient (CIoU's
alpha, ...) are taken, so that differences of the oracle are the published gradient.
"""

from oracles import coordinate, measures, modifiers, overlap, penalties, robust, small_objects

ORACLES = {
    name: oracle
    for family in (coordinate, measures, modifiers, overlap, penalties, robust, small_objects)
    for name, oracle in family.ORACLES.items()
}


def one_sided_gradients(name, y_true, y_pred, step, **arguments):
    """Left and right derivatives (4,), (4,) of an oracle by second-order differences."""
    oracle = ORACLES[name]

    def moved(i, by):
        box = [float(v) for v in y_pred]
        box[i] += by
        return oracle(y_true, box, at=y_pred, **arguments)

    centre = oracle(y_true, y_pred, at=y_pred, **arguments)
    sides = []
    for sign in (-1.0, 1.0):
        h = sign * step
        sides.append(
            [
                (4.0 * moved(i, h) - moved(i, 2 * h) - 3.0 * centre) / (2 * h)
                for i in range(len(y_pred))
            ]
        )
    return sides
