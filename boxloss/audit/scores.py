"""From evidence to suspicion: a score for each kind of label error, on one scale.

Each kind has a raw number that is high for boxes with that error. Numbers of different kinds mean
different things, so each is calibrated over the set: `surprise` turns it into decades, such that a
share of 10^-s of the set's ordinary boxes would reach s. The median and the 80 % quantile fix that
scale, so a minority of wrong labels hardly moves it. A box's suspicion is the largest of its
kinds'; scores of the kinds are never added up, because one error shows in several.
"""

import numpy as np

KINDS = ("shift", "resize", "edge", "swap", "spurious", "duplicate", "missing")
# Smallest difference between the median and the 80 % quantile, in units of each raw score: below
# it a set is so clean that its spread would turn noise into suspicion.
SMALLEST_SPREAD = 0.1
SUSPECT = 2.5  # decades from which a correction is proposed: one ordinary box in three hundred
SOFT = 0.05  # added to supports in logarithms: a confidence that means nothing
SURE = 0.3  # score from which on the own detection says that there is an object
# What a share p of the boxes reaches is at most as surprising as p^2 would be: a detector that
# misses one object in twenty altogether does not make those boxes the worst of the set.
MOST_DECADES = 2.0
HISTORY_WEIGHT = 0.5  # decades that a decade of the training history adds to the suspicion
LEAST_SCORE = 1e-3  # a mean score of 0 would cost infinitely much
NEAR_IOU = 0.5  # two annotations that overlap by less are two objects


def surprise(values, spread=SMALLEST_SPREAD):
    """Decades (n,), at least 0: -log10 of the share of ordinary boxes with such a value.

    The upper tail is exponential, through the median (share 1/2) and the 80 % quantile (1/5). Where
    both of them are 0, the tail starts at 0 with the share of boxes above it, and the median of
    those halves it. At most `MOST_DECADES` times -log10 of the share of values that are as high.
    """
    values = np.asarray(values, "float64")
    if not len(values):
        return values
    middle, high = np.quantile(values, (0.5, 0.8))
    if middle == high == 0:
        above = values > 0
        share = (np.count_nonzero(above) + 1) / (len(values) + 1)
        half = max(np.median(values[above]) if above.any() else 0.0, 2 * spread)
        nats = np.where(above, -np.log(share) + values / half * np.log(2), 0.0)
    else:
        nats = np.log(2) + (values - middle) / max(high - middle, spread) * np.log(2.5)
    reached = len(values) - np.searchsorted(np.sort(values), values, side="left")
    most = MOST_DECADES * (np.log10(len(values)) - np.log10(reached))
    return np.clip(nats / np.log(10), 0.0, most)


def annotation_scores(evidence, confidence, counted):
    """{kind: decades (n,)} of every kind but "missing"; 0 where an annotation is not counted.

    confidence: (n,), score of the own detection, 0 without. counted: bool (n,).
    """
    size = move_size(evidence, confidence, counted)
    raw = {kind: size * share for kind, share in shares(evidence.errors).items()}
    raw["swap"] = np.log((evidence.other_class + SOFT) / (evidence.own_class + SOFT))
    raw["spurious"] = -np.log(evidence.support + SOFT)
    raw["duplicate"] = duplicate(evidence, confidence)
    scores = {}
    for kind, values in raw.items():
        scores[kind] = np.zeros(len(values))
        scores[kind][counted] = surprise(values[counted])
    # That nothing supports a box does not yet speak for another class.
    scores["swap"][raw["swap"] <= 0] = 0.0
    return scores


def history_scores(found, counted):
    """Decades (n,) of boxes that training seldom found; 0 where that is unknown or not counted.

    found: (n,) share of the epochs in which each was found, NaN where the run did not see it.
    """
    known = counted & np.isfinite(found)
    scores = np.zeros(len(found))
    scores[known] = surprise(1.0 - found[known])
    return scores


def mean_losses(error, score, seen):
    """(n,): each box's loss, averaged over the epochs; NaN where the run did not see it.

    Its two halves are those of a training: the box error, and -ln of the score of the right class.
    error, score: (n,) means over the epochs, NaN where no location ever answered for the box: that
    is as bad as the worst. seen: bool (n,).
    """
    losses = error - np.log(np.maximum(score, LEAST_SCORE))
    worst = np.nanmax(losses) if np.isfinite(losses).any() else 0.0
    return np.where(seen, np.where(np.isfinite(losses), losses, worst), np.nan)


def loss_scores(losses, counted):
    """Decades (n,) of boxes whose loss stayed high; 0 where that is unknown or not counted."""
    known = counted & np.isfinite(losses)
    scores = np.zeros(len(losses))
    scores[known] = surprise(losses[known])
    return scores


def names_of(scores, errors, confidence):
    """The kind (n,) that each annotation is suspected of: that of its largest score.

    Which of the three moves it is, though, follows from the `shares` of its errors: their scores
    also depend on how usual each move is in the set. And a box with a sure detection of its own is
    not spurious, it was moved.
    """
    table = np.stack([scores[kind] for kind in KINDS])
    best = table.argmax(axis=0)
    explained = shares(errors)
    moves = list(explained)
    move = np.stack([explained[kind] for kind in moves]).argmax(axis=0)
    is_move = np.isin(best, [KINDS.index(kind) for kind in moves])
    is_move |= (best == KINDS.index("spurious")) & (confidence >= SURE)
    return [moves[move[i]] if is_move[i] else KINDS[best[i]] for i in range(len(best))]


def move_size(evidence, confidence, counted):
    """How far the worst side of each box is off, in units of what is usual; 0 without owner.

    Usual is the geometric mean of two 75 % quantiles: over all boxes, and over those whose
    detections are about as confident (the sure ones are the exact ones).
    """
    worst = np.abs(evidence.errors).max(axis=1, initial=0.0)
    has = counted & (evidence.owner >= 0)
    if not has.any():
        return np.zeros(len(worst))
    overall = np.quantile(worst[has], 0.75)
    usual = np.maximum(usual_error(worst[has], confidence[has])(confidence), 0.01)
    return np.where(has, worst / np.sqrt(usual * max(overall, 0.01)), 0.0)


def usual_error(worst, confidence):
    """A function from confidence to the 75 % quantile of `worst`, falling; at most 12 groups."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, int(np.clip(len(order) // 50, 1, 12)))
    at = np.array([confidence[part].mean() for part in parts])
    quantiles = [np.quantile(worst[part], 0.75) for part in parts]
    quantiles = np.minimum.accumulate(quantiles)
    return lambda values: np.interp(values, at, quantiles)


def shares(errors):
    """{"shift", "resize", "edge"}: (n,), the share of the squared errors that each explains.

    errors: (n, 4), signed, of x1, y1, x2, y2. A shift moves opposite sides alike, a resize moves
    all four outwards or inwards by as much, an edge moves alone.
    """
    x1, y1, x2, y2 = errors.T
    squares = np.sum(errors**2, axis=1) + 1e-12
    return {
        "shift": ((x1 + x2) ** 2 + (y1 + y2) ** 2) / 2 / squares,
        "resize": (x2 + y2 - x1 - y1) ** 2 / 4 / squares,
        "edge": np.max(errors**2, axis=1, initial=0.0) / squares,
    }


def duplicate(evidence, confidence):
    """(n,) in [0, 1]: how much a box lies on another, less where it has a detection of its own."""
    near = np.maximum(evidence.neighbour_iou - NEAR_IOU, 0.0) / (1 - NEAR_IOU)
    return near * np.sqrt(1 - np.clip(confidence * evidence.iou, 0.0, 1.0))


def missing_scores(values, boxes):
    """Decades (k,) of the places without an annotation, whose `values` fall.

    They are compared with as many places as there are boxes: how many weak detections a detector
    gives besides says nothing about the labels.
    """
    common = np.zeros(max(boxes, 1))
    common[: len(values)] = values[: len(common)]
    scores = np.zeros(len(values))
    scores[: len(common)] = surprise(common)[: len(values)]
    return scores
