"""`boxloss predict`: boxes in new images, as COCO results and as pictures."""

import pathlib
import sys

from boxloss.cli.inputs import run_file, tile_flags, tiling_of
from boxloss.cli.out import open_out, out_flags
from boxloss.detector.description import description_of, is_exported
from boxloss.files import existing, read_object

HELP = "Find boxes in new images: COCO results and drawings."
EPILOG = """examples:
  boxloss predict runs/first photos/new --out runs/first/new
  boxloss predict runs/first one.jpg --out here --score-threshold 0.5
  boxloss predict runs/first photos/new --out here --no-drawings
  boxloss predict runs/first aerial --out here --tile 640 --overlap 0.2
  boxloss predict detector.onnx photos/new --out here

OUT/detections.json is a list of COCO results; image_id is the file name below
IMAGES.
"""
THRESHOLD = 0.3  # where the run does not say


def add_arguments(parser):
    parser.add_argument(
        "run",
        type=pathlib.Path,
        help="run folder of `boxloss train`, or what `boxloss export` wrote",
    )
    parser.add_argument("images", help="folder of images, or one image")
    out_flags(parser, "folder to write, made if need be")
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    parser.add_argument(
        "--score-threshold",
        type=float,
        help="boxes below are left out (default: the run's own, of the best F1; else 0.3)",
    )
    tile_flags(parser)
    parser.add_argument("--no-drawings", action="store_true", help="only detections.json")


def run(args):
    from boxloss import datasets
    from boxloss.cli.train import show_problems

    tiling = tiling_of(args)
    if not is_exported(args.run):
        run_file(args.run / args.model)
    existing("images", args.images)
    with open_out(args, ("detections.json", "categories.json")):
        dataset = datasets.load_images(args.images)
        show_problems(dataset)
        return _predict(args, dataset, tiling)


def _predict(args, dataset, tiling):
    from boxloss import datasets
    from boxloss.detector import load_detector, load_exported
    from boxloss.detector.inference import VOTERS_SCORE
    from boxloss.evaluation.results import as_results
    from boxloss.files import write_json

    exported = is_exported(args.run)
    detector = load_exported(args.run) if exported else load_detector(args.run / args.model)
    threshold, results, unreadable, highest = threshold_of(args), [], 0, 0.0
    for number, record in enumerate(dataset.records):
        try:
            image = datasets.read_image(record.path)
        except (ValueError, OSError) as error:
            unreadable += 1
            print(error, file=sys.stderr)
            continue
        lowest = min(threshold, VOTERS_SCORE)
        (found,) = detector.predict([image], score_threshold=lowest, **tiling)
        highest = max([highest, *map(float, found["scores"])])
        sure = found["scores"] >= threshold
        found = {name: value[sure] for name, value in found.items()}
        results += as_results(record.file_name, found, detector.category_ids)
        if not args.no_drawings:
            draw(args.out, number, record, image, found, detector.class_names)
    write_json(args.out / "detections.json", results)
    categories = [
        {"id": i, "name": name}
        for i, name in zip(detector.category_ids, detector.class_names, strict=True)
    ]
    write_json(args.out / "categories.json", categories)
    count = f"{len(results)} boxes of at least {threshold:.3g}"
    print(f"{count} in {len(dataset.records)} images: {args.out}", file=sys.stderr)
    if not results:
        print(
            f"the highest score is {highest:.3g}: --score-threshold {highest / 2:.2g} shows more",
            file=sys.stderr,
        )
    return {
        "images": len(dataset.records) - unreadable,
        "unreadable": unreadable + len(dataset.problems),
        "boxes": len(results),
        "score_threshold": threshold,
        "highest_score": highest,
        "detections": str(args.out / "detections.json"),
    }


def threshold_of(args):
    """--score-threshold, or the one of the best F1 on the run's validation data, or 0.3."""
    if args.score_threshold is not None:
        return args.score_threshold
    described = description_of(args.run) if is_exported(args.run) else args.run / "metrics.json"
    own = read_object(described).get("threshold")
    usable = isinstance(own, (int, float)) and 0 < own <= 1
    return float(own) if usable else THRESHOLD


def draw(out, number, record, image, found, class_names):
    """The image with its boxes, in OUT/drawings; of its file name only safe letters are kept."""
    from boxloss.report.drawing import class_colour, draw_boxes
    from boxloss.report.pictures import write_png

    # The surest first: where labels have no room beside each other, theirs are written.
    order = found["scores"].argsort()[::-1]
    labels = found["labels"][order]
    texts = [
        f"{class_names[label]} {score:.2f}"
        for label, score in zip(labels, found["scores"][order], strict=True)
    ]
    colours = [class_colour(label) for label in labels]
    picture = draw_boxes(image, found["boxes"][order], texts, colours, dashed=False)
    stem = "".join(c if c.isascii() and c.isalnum() else "_" for c in record.path.stem)[:60]
    (out / "drawings").mkdir(exist_ok=True)
    write_png(out / "drawings" / f"{number:06d}-{stem}.png", picture)
