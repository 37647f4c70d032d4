"""What the table-driven tests need to know of a loss beside its name.

A loss of kind box in the registry is covered by being there: it needs an oracle, and a row in
`ARGUMENTS` if it has arguments. A new kind of loss needs an entry in `EXAMPLES`.
"""

import json

import numpy as np

import boxloss

EVERY = boxloss.names()
BOX = boxloss.names("box")

# Arguments without which a loss cannot be made.
REQUIRED = {name: {"image_shape": (480, 640)} for name in ("ltrb_l1", "mpdiou")}

# What a row of the truth that holds no box is filled with: a row of -1 is a box of `fgl`.
PADDING = {"fgl": -1e9}

# Non-default arguments: they are checked against the oracle and must survive a round trip.
ARGUMENTS = {
    "smooth_l1": [{"beta": 0.25}, {"beta": 7.0}],
    "huber": [{"delta": 0.25}, {"delta": 30.0}],
    "balanced_l1": [{"alpha": 0.4, "gamma": 1.0, "beta": 5.0}],
    "siou": [{"theta": 2.5}],
    "mpdiou": [{"image_shape": (7, 11)}],
    "shape_iou": [{"scale": 0.5}, {"scale": 2.0}],
    "piou": [{"version": 1}, {"scale": 0.8, "weight_gradient": False}],
    "bounded_iou": [{"center_factor": 1.0, "beta": 0.0}, {"beta": 1.0}],
    "extended_iou": [{"smooth_point": 0.7}],
    "nwd": [{"constant": 300.0}],
    "alpha_iou": [{"base": "ciou"}, {"base": "giou", "alpha": 2.0}, {"alpha": 0.5}],
    "inner_iou": [
        {"base": "siou", "ratio": 1.25},
        {"base": "eiou"},
        {"base": "diou"},
        {"base": "mpdiou", "image_shape": (7, 11)},
        {"base": "piou"},
        {"base": ("wiou", {"running_mean": 0.4})},
    ],
    "focaler_iou": [
        {"base": "giou", "low": 0.2, "high": 0.8},
        {"base": "shape_iou"},
        {"base": "mpdiou", "image_shape": (7, 11)},
        {"base": ("piou", {"version": 1}), "low": 0.1},
        {"base": ("wiou", {"version": 2, "running_mean": 0.4, "outlier": "plain"})},
    ],
    "unified_iou": [{"base": "giou", "ratio": 0.5}, {"base": "mpdiou", "image_shape": (7, 11)}],
    "focal_eiou": [{"gamma": 0.75, "weight_gradient": True}, {"gamma": 2.0}],
    "interp_iou": [{"alpha": "dynamic"}, {"alpha": 0.6}],
    "wiou": [
        {"version": 1},
        {"version": 2, "gamma": 1.5, "running_mean": 0.4},
        {"alpha": 1.7, "delta": 2.7, "momentum": 0.5, "running_mean": 0.4},
    ],
    "ghm_r": [{"mu": 0.5, "bins": 4}],
    "iou": [{"mode": "log"}, {"mode": "square"}],
    "ciou": [{"gated": True}, {"alpha_gradient": True}],
    "gwd": [{"function": "sqrt", "tau": 2.0}, {"normalize": True}],
    "kld": [{"direction": "true_to_pred", "tau": 2.0, "sqrt": True}],
    "probiou": [{"mode": "l2"}],
    "kfiou": [{"mode": "log", "center_weight": 0.5}],
    "rotated_iou": [{"mode": "log"}, {"mode": "square"}],
    "rotated_giou": [{"mode": "square"}],
    "gaussian_nll": [{"full": False, "coordinate_reduction": "mean"}],
    "laplace_nll": [{"full": True}],
    "dfl": [{"coordinate_reduction": "mean"}],
    "quality_focal": [{"beta": 1.5}],
    "varifocal": [{"alpha": 0.6, "gamma": 1.5}],
    "sigmoid_focal": [{"alpha": 0.6, "gamma": 0.0}, {"gamma": 1.5}],
    "mal": [{"alpha": 0.75, "gamma": 2.0}, {"gamma": 0.0}],
    "fgl": [{"iou_weight": False, "coordinate_reduction": "mean"}],
    "ddf": [{"balance": "none", "temperature": 2.0}],
    "ltrb_l1": [{"unit": 8.0, "coordinate_reduction": "sum"}],
    "sd": [{"delta": 0.3, "largest_area": 400.0}],
    "iou3d": [{"origin": "bottom", "clockwise": True}],
    "giou3d": [{"enclosure": "smallest"}, {"enclosure": "aligned", "origin": "bottom"}],
    "diou3d": [{"enclosure": "smallest"}, {"enclosure": "aligned", "clockwise": True}],
}


def id_of(value):
    """The words of a parameter in the name of a test."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def make(name, /, **arguments):
    """The loss, with what it requires; a base may be given as a name and its arguments."""
    base = arguments.get("base")
    if isinstance(base, tuple):
        arguments["base"] = boxloss.get(base[0], **base[1])
    return boxloss.get(name, **{**REQUIRED.get(name, {}), **arguments})


def alone(names):
    """Those of the losses by which a box costs the same in every batch (GHM-R counts others)."""
    return [name for name in names if not getattr(make(name), "uses_batch", False)]


def variants(kind):
    """(name, arguments) of every loss of a kind: the defaults and each row of `ARGUMENTS`."""
    return [
        (name, arguments)
        for name in boxloss.names(kind)
        for arguments in [REQUIRED.get(name, {}), *ARGUMENTS.get(name, [])]
    ]


def box_examples(rng, images, boxes):
    corner = rng.uniform(0, 60, (images, boxes, 2))
    size = rng.uniform(5, 40, (images, boxes, 2))
    y_true = np.concatenate([corner, corner + size], axis=-1)
    corner = corner + rng.uniform(-12, 12, corner.shape)
    size = size * rng.uniform(0.6, 1.6, size.shape)
    y_pred = np.concatenate([corner, corner + size], axis=-1)
    return y_true.astype("float32"), y_pred.astype("float32")


def class_examples(rng, images, boxes):
    labels = rng.integers(0, 4, (images, boxes))
    return labels.astype("int32"), rng.normal(0, 2, (images, boxes, 4)).astype("float32")


def quality_examples(rng, images, boxes):
    labels, logits = class_examples(rng, images, boxes)
    quality = rng.uniform(0, 1, labels.shape)
    return np.stack([labels, quality], axis=-1).astype("float32"), logits


def rotated_examples(rng, images, boxes):
    xyxy = box_examples(rng, images, boxes)
    return tuple(
        np.concatenate(
            [
                (x[..., :2] + x[..., 2:]) / 2,
                x[..., 2:] - x[..., :2],
                rng.uniform(-2, 2, (images, boxes, 1)),
            ],
            axis=-1,
        ).astype("float32")
        for x in xyxy
    )


def box3d_examples(rng, images, boxes):
    rotated = rotated_examples(rng, images, boxes)
    heights = box_examples(rng, images, boxes)
    return tuple(
        np.concatenate(
            [x[..., :2], h[..., :1], x[..., 2:4], (h[..., 2:3] - h[..., :1]), x[..., 4:]], axis=-1
        )
        for x, h in zip(rotated, heights, strict=True)
    )


EXAMPLES = {"box": box_examples, "class": class_examples}
EXAMPLES["rotated"] = rotated_examples
EXAMPLES["box3d"] = box3d_examples
EXAMPLES["quality_focal"] = EXAMPLES["varifocal"] = EXAMPLES["mal"] = quality_examples


def uncertainty_examples(rng, images, boxes):
    y_true, y_pred = box_examples(rng, images, boxes)
    spread = rng.normal(0, 2, y_pred.shape).astype("float32")
    return y_true, np.concatenate([y_pred, spread], axis=-1)


def distribution_examples(rng, images, boxes):
    y_true = rng.uniform(0, 14.9, (images, boxes, 4)).astype("float32")
    return y_true, rng.normal(0, 2, (images, boxes, 64)).astype("float32")


def fgl_examples(rng, images, boxes):
    y_true = rng.uniform(-1.5, 2.5, (images, boxes, 4)).astype("float32")
    # Sure of about the right side: at other ones the weight, an IoU, is 0.
    wrong = y_true + rng.normal(0, 0.4, y_true.shape)
    logits = -4 * np.abs(np.linspace(-4, 4, 33) - wrong[..., None])
    return y_true, logits.reshape(images, boxes, 132).astype("float32")


def ddf_examples(rng, images, boxes):
    teacher, student = rng.normal(0, 2, (2, images, boxes, 132))
    quality, matched = rng.uniform(0, 1, (images, boxes, 1)), rng.integers(0, 2, (images, boxes, 1))
    y_true = np.concatenate([teacher, quality, matched], axis=-1)
    return y_true.astype("float32"), student.astype("float32")


EXAMPLES["uncertainty"] = uncertainty_examples
EXAMPLES["fgl"], EXAMPLES["ddf"] = fgl_examples, ddf_examples
EXAMPLES["distribution"] = distribution_examples


def examples(loss, images=3, boxes=5, seed=0):
    """`y_true`, `y_pred` (images, boxes, ...) that suit a loss."""
    make_examples = EXAMPLES.get(loss.name, EXAMPLES.get(loss.kind))
    return make_examples(np.random.default_rng(seed), images, boxes)


def padding(loss):
    """What fills the rows of the truth that hold no box."""
    return PADDING.get(loss.name, -1)


def pad(loss, y_true, y_pred, rows, garbage=np.nan):
    """Both with `rows` rows of padding behind, the predictions of which hold `garbage`."""
    true = np.full((y_true.shape[0], rows, *y_true.shape[2:]), padding(loss), y_true.dtype)
    pred = np.full((y_pred.shape[0], rows, *y_pred.shape[2:]), garbage, y_pred.dtype)
    return np.concatenate([y_true, true], axis=1), np.concatenate([y_pred, pred], axis=1)
