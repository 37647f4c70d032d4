"""Flags that say how a detector's results name images and classes; what could not be paired."""

import pathlib
import sys

from boxloss.evaluation.pairing import CLASSES_BY, IMAGES_BY
from boxloss.files import counted

TRUTH_HELP = "the true boxes: COCO JSON; a VOC or YOLO folder, or data.yaml"
DETECTIONS_HELP = (
    "results of any detector: COCO results JSON, Ultralytics' predictions.json, or a folder of "
    "YOLO result files (save_txt, save_conf)"
)


def add_pairing(parser):
    """--part, --pair-images, --pair-classes and --class-names."""
    group = parser.add_argument_group("pairing of results with the truth (default: what fits)")
    group.add_argument(
        "--part",
        choices=("train", "val", "test"),
        help="of a data.yaml or data set root that has several, where --images is not given",
    )
    group.add_argument(
        "--pair-images", choices=IMAGES_BY, help="image_id is the truth's id, or a file name's stem"
    )
    group.add_argument(
        "--pair-classes",
        choices=CLASSES_BY,
        help="category_id is the truth's id, a name, or a place in a class list from 0 or from 1",
    )
    group.add_argument(
        "--class-names",
        metavar="LIST",
        help="the detector's class list, where its order is not the truth's: names with commas, or "
        "a data.yaml or classes.txt",
    )


def pairing_of(args):
    """The arguments of `Detections.of` that the flags say."""
    names = None if args.class_names is None else class_list(args.class_names)
    return {
        "pair_images": args.pair_images,
        "pair_classes": args.pair_classes,
        "class_names": names,
    }


def class_list(text):
    """The names that --class-names means."""
    from boxloss import files
    from boxloss.datasets import data_yaml

    path = pathlib.Path(text)
    if path.suffix.lower() in (".yaml", ".yml"):
        names = data_yaml.read(files.existing("class_names", path)).names
        return [names.get(number, "") for number in range(max(names, default=-1) + 1)]
    if path.suffix.lower() in (".txt", ".names"):
        lines = files.decoded(files.read_bytes(files.existing("class_names", path))).splitlines()
        return [line.strip() for line in lines]
    return [name.strip() for name in text.split(",")]


def show_pairing(pairing, problems, dropped):
    """Lines for people: broken items, how results were paired, and what was left out."""
    lines = [f"  {problem}" for problem in problems[:20]]
    if len(problems) > 20:
        lines.append(f"  and {len(problems) - 20} more")
    counts = ", ".join(counted(count, what) for what, count in dropped.items() if count)
    lines += [*pairing, *([f"dropped: {counts}"] if counts else [])]
    print("\n".join(lines), file=sys.stderr)
