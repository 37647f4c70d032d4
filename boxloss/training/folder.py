"""The run folder and its config.json: who may write there, and what a resumed run must not change.

No Keras here: the commands look at a folder before they import a backend.
"""

import json
import pathlib
import tempfile

from boxloss.files import json_of, shortened

CHECKPOINT = "checkpoint.npz"
RUN_FILES = (
    *("config.json", "model.keras", "last.keras", CHECKPOINT, "metrics.json", "detections.json"),
    *("history.csv", "image_losses.csv", "box_history.csv", "boxes.csv"),
    *("curves.png", "batch.png", "val.png", "labels.html"),
)
# Options that decide no weight: a resumed run may be given other ones.
MAY_CHANGE_ON_RESUME = (
    *("epochs", "patience", "evaluate_every", "checkpoint_steps", "profile", "tensorboard"),
    *("cache", "cache_megabytes", "workers"),
)
MOST_NAMED = 5  # of the arguments that differ: a broken file may hold 400 digits in each


def config_of(train_set, validation_set, options):
    """The dict that `config.json` holds."""
    # Here and not above: a folder is looked at before a backend is imported.
    import keras

    import boxloss

    return {
        "boxloss": boxloss.__version__,
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        **options.as_dict(),
        "class_names": train_set.class_names,
        "category_ids": train_set.category_ids,
        "images": str(train_set.root),
        "val_images": str(validation_set.root),
        "training": train_set.counts(),
        "validation": validation_set.counts(),
    }


def prepare_folder(out, resume):
    """The run folder; ValueError if it cannot be written, or holds another run."""
    out = pathlib.Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        # One byte fits nearly everywhere; a full disk shows with a megabyte.
        with tempfile.TemporaryFile(dir=out) as file:
            file.write(bytes(2**20))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"`out` must be a folder that can be written. Received: {str(out)!r} ({reason})"
        ) from None
    if not resume and (out / CHECKPOINT).exists():
        raise ValueError(
            f"`out` must be a new folder, or --resume be given to go on. Received: {str(out)!r}, "
            "which holds a run"
        )
    return out


def check_resumed(out, config):
    """ValueError where `config` is not that of the run in `out`."""
    path = out / "config.json"
    try:
        before = json_of(path.read_text(encoding="utf-8"))
        # A newer version may know options that the run did not: those of before are compared.
        before, now = (_deciding(found) for found in (before, json.loads(json.dumps(config))))
        other = {name: value for name, value in before.items() if now.get(name, value) != value}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path}: file must say with what the run began. Received: {error}"
        ) from None
    if other:
        received = [
            f"{name}={shortened(repr(now[name]))} (before {shortened(repr(value))})"
            for name, value in other.items()
        ]
        if len(received) > MOST_NAMED:
            received[MOST_NAMED:] = [f"{len(received) - MOST_NAMED} more"]
        received = ", ".join(received)
        raise ValueError(
            "`resume` must go on with the data and arguments of the run "
            f"({', '.join(MAY_CHANGE_ON_RESUME)} may change). Received: {received}"
        )


def _deciding(config):
    """What of config.json decides the weights of a run; of the data, how much there is."""
    other = (
        *MAY_CHANGE_ON_RESUME,
        "boxloss",
        "keras",
        "backend",
        "images",
        "val_images",
        "category_ids",
        "data",
        "pretrained_from",
    )
    decide = {name: value for name, value in config.items() if name not in other}
    for part in ("training", "validation"):
        # How many, and not which files: the images of a run may have moved to another folder.
        counts = decide.pop(part)
        decide |= {f"{part} {name}": counts[name] for name in ("images", "boxes")}
    return decide


def check_data(train_set, validation_set):
    for name, dataset in (("images", train_set), ("val_images", validation_set)):
        if not dataset.records:
            raise ValueError(f"`{name}` must hold at least one image. Received: none")
    if not any((~record.ignored).any() for record in train_set.records):
        raise ValueError("`annotations` must hold at least one box to learn. Received: none")
