"""Out-of-sample detections: k detectors, each for the images that it did not see."""

import hashlib
import json
import pathlib
import sys
import time

import numpy as np

from boxloss.datasets import groups
from boxloss.detector import load_detector
from boxloss.files import duration, read_json, write_json
from boxloss.training import Options, evaluate, train


def fold_of(names, folds, seed=0, group_by=None):
    """int (n,): the fold of each file name; the same names give the same folds.

    Sizes differ by at most 1; with `group_by`, a regular expression (see `datasets.groups`), images
    of one group share a fold and the sizes are as even as that allows.
    """
    if isinstance(folds, bool) or folds != int(folds) or not 2 <= folds <= len(names):
        raise ValueError(
            f"`folds` must be a whole number from 2 to the number of images, {len(names)}. "
            f"Received: folds={folds!r}"
        )
    if group_by is not None:
        return groups.folds_of_groups(groups.groups_of(names, group_by), int(folds), seed)
    order = np.argsort(np.asarray(names, dtype=object), kind="stable")
    order = np.random.default_rng(seed).permutation(order)
    places = np.empty(len(names), "int64")
    places[order] = np.arange(len(names)) % int(folds)
    return places


def out_of_sample(dataset, out, folds=3, options=None, seed=0, verbose="auto", group_by=None):
    """COCO results of every image of `dataset`, by a detector trained on the other folds.

    out: folder, made if need be: a run folder for each fold, which a second call goes on from, and
    `detections.json` with the results. options: `training.Options`; the last weights are taken,
    not those best on any labels, because all labels are under audit. group_by: see `fold_of`;
    without it, a line on stderr warns where neighbouring images look alike.
    """
    options = options or Options()
    out = pathlib.Path(out)
    places = fold_of([record.file_name for record in dataset.records], folds, seed, group_by)
    warning = groups.warning_of(dataset) if group_by is None else None
    if warning is not None:
        print(warning, file=sys.stderr)
    results, began = [], time.monotonic()
    for fold in range(int(folds)):
        sides = [
            [r for r, place in zip(dataset.records, places, strict=True) if (place == fold) == held]
            for held in (False, True)
        ]
        learnt, held = (dataset.subset(records) for records in sides)
        folder = out / f"fold-{fold + 1}-of-{int(folds)}-{fingerprint(learnt, options)}"
        results += _results_of_fold(folder, learnt, held, options, verbose)
        left = (time.monotonic() - began) / (fold + 1) * (int(folds) - fold - 1)
        rest = f", {duration(left)} left" if left else ""
        print(f"fold {fold + 1} of {int(folds)}: {len(held)} images{rest}", file=sys.stderr)
    write_json(out / "detections.json", results)
    return results


def fingerprint(dataset, options):
    """8 hexadecimal digits of the labels and options: other ones train in another folder."""
    digest = hashlib.sha256(json.dumps(options.as_dict(), sort_keys=True).encode())
    for record in dataset.records:
        digest.update(record.file_name.encode("utf-8", "surrogatepass"))
        digest.update(record.boxes.tobytes() + record.labels.tobytes())
    return digest.hexdigest()[:8]


def _results_of_fold(folder, learnt, held, options, verbose):
    done = folder / "out_of_sample.json"
    if done.is_file():
        return read_json(done)
    # Training asks for a validation set. A few of its own images keep the others unseen.
    own = Options(**(options.as_dict() | {"evaluate_every": options.epochs, "patience": 0}))
    train(learnt, learnt.subset(learnt.records[:8]), own, folder, resume=True, verbose=verbose)
    detector = load_detector(folder / "last.keras")
    place = folder / "held"
    place.mkdir(exist_ok=True)
    _, results = evaluate(detector, held, place, options.loss)
    write_json(done, results)
    return results
