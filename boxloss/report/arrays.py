"""A report of arrays: which prediction belongs to which truth is known."""

import numpy as np

from boxloss import losses
from boxloss.datasets import read_image
from boxloss.datasets.header import read_header
from boxloss.evaluation.kinds import BACKGROUND_IOU
from boxloss.evaluation.row import Row, size_of
from boxloss.tensors.boxes import is_relative, to_xyxy
from boxloss.tensors.checks import fraction
from boxloss.tensors.overlap import iou_xyxy


def report_of_arrays(
    images,
    y_true,
    y_pred,
    mask,
    loss,
    labels,
    predicted_labels,
    scores,
    class_names,
    file_names,
    iou_threshold,
):
    """The parts of a BoxReport; arguments as `BoxReport` says."""
    loss = losses.box_loss(loss)
    fraction("iou_threshold", iou_threshold)
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    tensors = loss.tensors(y_true, y_pred, mask=mask).numpy()
    b, n = tensors.box_errors.shape
    labels = _table("labels", labels, (b, n), 0)
    predicted_labels = _table("predicted_labels", predicted_labels, (b, n), None)
    scores = _table("scores", scores, (b, n), None)
    if class_names is None:
        count = max(int(t.max(initial=0)) for t in (labels, predicted_labels) if t is not None)
        class_names = [str(i) for i in range(count + 1)] if count else ["box"]
    real = (y_true != -1).any(axis=-1) if mask is None else (y_true != -1).any(axis=-1) & mask
    for argument, values in (("labels", labels), ("predicted_labels", predicted_labels)):
        _check_labels(argument, values, real, len(class_names))
    entries, pictures = _images(images, b, file_names, loss, y_true, y_pred, real)
    true, predicted = _pixels(loss, entries, y_true), _pixels(loss, entries, y_pred)
    rows = []
    for i, j in zip(*np.nonzero(real), strict=True):
        iou = float(iou_xyxy(true[i, j][None], predicted[i, j][None])[0])
        label = int(labels[i, j])
        found = label if predicted_labels is None else int(predicted_labels[i, j])
        row = Row(
            about="truth",
            image_id=entries[i]["id"],
            file_name=entries[i]["file_name"],
            annotation_id=int(i * n + j + 1),
            detection=int(i * n + j),
            class_name=class_names[label],
            prediction_class=class_names[found],
            kind=_kind(iou, label == found, iou_threshold),
            size=size_of(np.prod(np.maximum(true[i, j, 2:] - true[i, j, :2], 0))),
            score=None if scores is None else float(scores[i, j]),
            truth=tuple(true[i, j].tolist()),
            prediction=tuple(predicted[i, j].tolist()),
            iou=iou,
            box_error=float(tensors.box_errors[i, j]),
            terms={name: float(value[i, j]) for name, value in tensors.terms.items()},
        )
        rows.append(row)
    return {
        "rows": rows,
        "images": entries,
        "pictures": pictures,
        "class_names": class_names,
        "category_ids": list(range(1, len(class_names) + 1)),
        "loss": loss.name,
    }


def _kind(iou, same_class, iou_threshold):
    if iou >= iou_threshold:
        return "ok" if same_class else "cls"
    if iou >= BACKGROUND_IOU:
        return "loc" if same_class else "both"
    return "miss"


def _table(argument, values, shape, default):
    if values is None:
        return None if default is None else np.full(shape, default)
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(
            f"`{argument}` must have the shape (B, N) of the boxes. "
            f"Received: {argument}.shape={values.shape} for boxes {shape}"
        )
    return values


def _check_labels(argument, labels, real, count):
    """Labels of real boxes are classes; those of padding do not matter."""
    wrong = np.array([]) if labels is None else labels[real & ~np.isin(labels, np.arange(count))]
    if len(wrong):
        raise ValueError(
            f"`{argument}` must be whole numbers from 0 to {count - 1}, positions in "
            f"`class_names`. Received: {argument}={wrong[0]}"
        )


def _images(images, count, file_names, loss, y_true, y_pred, real):
    """([{id, file_name, width, height}], function from position to picture)."""
    for argument, given in (("images", images), ("file_names", file_names)):
        if given is not None and len(given) != count:
            raise ValueError(
                f"`{argument}` must have one entry for each of the {count} rows of boxes. "
                f"Received: {len(given)} entries"
            )
    relative = is_relative(loss.bounding_box_format)
    if images is None and relative and loss.image_shape is None:
        raise ValueError(
            "`images` must be given for boxes in relative units, or `image_shape` to the loss. "
            f"Received: images=None, bounding_box_format={loss.bounding_box_format!r}"
        )
    entries = []
    for i in range(count):
        name = str(i) if file_names is None else str(file_names[i])
        if images is None:
            width, height = _room(loss, y_true[i][real[i]], y_pred[i][real[i]])
        elif _is_path(images[i]):
            name = str(images[i]) if file_names is None else name
            with open(images[i], "rb") as file:
                header = read_header(file)
            width, height = header.width, header.height
        else:
            height, width = np.shape(images[i])[:2]
        entries.append({"id": i, "file_name": name, "width": int(width), "height": int(height)})
    return entries, lambda i: _picture(images, i)


def _room(loss, true, predicted):
    """Width and height that hold all boxes of an image that is not given."""
    if loss.image_shape is not None:
        return int(loss.image_shape[1]), int(loss.image_shape[0])
    both = _pixels(loss, None, np.concatenate([true, predicted]))
    both = both[np.isfinite(both).all(axis=-1)]
    ends = [both[:, side::2].max(initial=1) for side in (0, 1)]
    return tuple(int(np.clip(np.ceil(end * 1.05), 1, 2**20)) for end in ends)


def _pixels(loss, entries, values):
    """Boxes as float64 xyxy in pixels."""
    shape = loss.image_shape
    if shape is None and entries is not None:
        shape = np.array([[e["height"], e["width"]] for e in entries], "float64")
        shape = shape.reshape(-1, 2)
    layout = loss.bounding_box_format
    if not is_relative(layout):
        shape = None
    if layout == "xyxy":
        return np.asarray(values, "float64")
    return np.asarray(to_xyxy(np.asarray(values, "float64"), layout, shape), "float64")


def _is_path(image):
    return isinstance(image, str) or hasattr(image, "__fspath__")


def _picture(images, i):
    if images is None:
        return None
    return read_image(images[i]) if _is_path(images[i]) else as_picture(images[i])


def as_picture(image):
    """Any array of an image as uint8 (H, W, 3): floats in [0, 1] are scaled, grey is repeated."""
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype != np.uint8:
        image = np.nan_to_num(image.astype("float64"))
        image = np.clip(image * (255 if image.max(initial=0) <= 1 else 1), 0, 255).astype("uint8")
    return np.ascontiguousarray(np.broadcast_to(image[..., :3], (*image.shape[:2], 3)))
