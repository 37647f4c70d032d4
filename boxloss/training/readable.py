"""Images that vanish while a run trains: it stops, instead of ending well with an AP of 0."""

from boxloss import datasets
from boxloss.detector.inference import VOTERS_SCORE
from boxloss.evaluation.results import coco_results
from boxloss.files import one_line
from boxloss.training import processes

MOST_UNREADABLE = 0.05  # of the images of a set; single broken files are usual


def check_readable(argument, names, count):
    """ValueError where more than 5 % of `count` images are among those that cannot be read."""
    if len(names) > MOST_UNREADABLE * count:
        shown = ", ".join(map(one_line, names[:5]))
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise ValueError(
            f"`{argument}` must stay readable, all but {MOST_UNREADABLE:.0%} of the images. "
            f"Received: {len(names)} of {count} that cannot be read: {shown}{more}"
        )


def results_of(detector, dataset, **how):
    """COCO results of all images of a validation set; ValueError where they cannot be read.

    They go down to the lowest score that counts anywhere, because COCO's metrics look at every
    rank. how: `tile` and `overlap` of `Detector.predict`. Each of several processes predicts its
    share; all of them get the results of all.
    """
    if processes.count() > 1:
        own = dataset.subset(processes.share(dataset.records))
        # Each process has another number of images. A program over all devices would wait for calls
        # that a process with fewer images never makes.
        with processes.alone():
            parts = processes.gathered(_results_of(detector, own, how))
        return [result for part in parts for result in part]
    return _results_of(detector, dataset, how)


def _results_of(detector, dataset, how):
    read = 0

    def predict(images):
        nonlocal read
        read += len(images)
        return detector.predict(images, score_threshold=VOTERS_SCORE, **how)

    results = coco_results(dataset, predict)
    if read < len(dataset.records):
        names = [record.file_name for record in dataset.records if not _is_readable(record)]
        check_readable("val_images", names, len(dataset.records))
    return results


def _is_readable(record):
    try:
        # Read once more: prediction does not say which images it left out.
        return datasets.read_image(record.path) is not None
    except (ValueError, OSError):
        return False
