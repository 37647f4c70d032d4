"""What a run shows of itself: its pictures, and a table of its classes on the screen."""

import math
import sys

from boxloss.files import one_line, read_csv, read_json

SHOWN = 20  # classes in the table


def before_fit(out):
    """A function for `training.train` that draws the first training images into batch.png."""
    from boxloss.report import pictures

    def draw(batches):
        pictures.write_png(out / "batch.png", pictures.batch_picture(batches))

    return draw


def write_pictures(out, train_set, validation_set, score_threshold):
    """Write curves.png, val.png and labels.html into a run folder that is complete."""
    from boxloss.report import check, curves, pictures

    history = [
        {name: float(text) if text else math.nan for name, text in row.items()}
        for _, row in read_csv(out / "history.csv", ("epoch",), "a history")
    ]
    pictures.write_png(out / "curves.png", curves.curves_picture(history))
    results = read_json(out / "detections.json")
    picture = pictures.validation_picture(validation_set, results, score_threshold)
    pictures.write_png(out / "val.png", picture)
    check.write_check_page(train_set, check.summarise(train_set), out / "labels.html")


def class_lines(metrics):
    """The classes of `evaluation.metrics_by_class` as lines of a table, at most 20 of them.

    Where there are more, those with the lowest AP: they are the ones to look at.
    """
    classes = metrics["classes"]
    names = list(classes)
    if len(names) > SHOWN:
        seen = [name for name in names if classes[name]["AP"] is not None]
        names = sorted(seen, key=lambda name: classes[name]["AP"])[:SHOWN]
    wide = min(max([5, *(len(one_line(name)) for name in names)]), 30)
    columns = ("AP", "AP50", "precision", "recall")
    yield f"{'class':{wide}}  {'boxes':>6}  {'AP':>5}  {'AP50':>5}  {'precision':>9}  {'recall':>6}"
    for name in names:
        row = classes[name]
        ap, ap50, precision, recall = (_number(row[column]) for column in columns)
        yield (
            f"{one_line(name)[:wide]:{wide}}  {row['boxes']:>6}  {ap:>5}  {ap50:>5}  "
            f"{precision:>9}  {recall:>6}"
        )
    if len(names) < len(classes):
        yield f"and {len(classes) - len(names)} classes more in metrics.json"


def show_classes(metrics):
    """Print the table for people."""
    for line in class_lines(metrics):
        print(f"  {line}", file=sys.stderr)
    print(
        f"  precision and recall at confidence {metrics['threshold']:.3f} and IoU 0.5",
        file=sys.stderr,
    )


def _number(value):
    return "-" if value is None else f"{value:.3f}"
