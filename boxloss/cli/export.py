"""`boxloss export`: a trained detector as a SavedModel, an ONNX or a TFLite file."""

import pathlib
import sys

from boxloss.cli.inputs import run_file
from boxloss.files import read_object

HELP = "Write a detector as SavedModel, ONNX or TFLite, and check it."
EPILOG = """examples:
  boxloss export runs/first --out runs/first/saved_model
  boxloss export runs/first --out detector.onnx --format onnx
  boxloss export runs/first --out detector.tflite --format tflite --nms
  boxloss export runs/first --out small --image-size 256
  boxloss predict detector.onnx photos/new --out new

It takes letterboxed RGB images (B, S, S, 3) in [0, 255] and gives boxes (B, A,
4) in their pixels and scores (B, A, C) of all locations, before NMS; with --nms
boxes (1, 100, 4), scores (1, 100) and labels (1, 100) of one image.
"""


def add_arguments(parser):
    parser.add_argument("run", type=pathlib.Path, help="run folder of `boxloss train`")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder or file to write")
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    parser.add_argument(
        "--format", default="saved_model", help="saved_model, onnx or tflite (default: %(default)s)"
    )
    parser.add_argument("--nms", action="store_true", help="the file does NMS, too")
    parser.add_argument("--image-size", type=int, help="side of the square (default: the run's)")


def run(args):
    model = run_file(args.run / args.model)
    from boxloss.detector import export, load_detector

    threshold = read_object(args.run / "metrics.json").get("threshold")
    detector = load_detector(model)
    written = export(detector, args.out, args.format, args.image_size, args.nms, threshold)
    print(f"wrote {args.out}; largest difference {written['difference']:.1e}", file=sys.stderr)
    return written
