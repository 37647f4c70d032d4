"""`boxloss export`: a trained detector as a SavedModel or an ONNX file."""

import pathlib
import sys

from boxloss.cli.inputs import run_file

HELP = "Write a detector as a SavedModel or ONNX file, and check it."
EPILOG = """examples:
  boxloss export runs/first --out runs/first/saved_model
  boxloss export runs/first --out detector.onnx --format onnx
  boxloss export runs/first --out small --image-size 256

It takes letterboxed RGB images (B, S, S, 3) in [0, 255] and gives boxes (B, A,
4) in their pixels and scores (B, A, C) of all locations, before NMS.
"""


def add_arguments(parser):
    parser.add_argument("run", type=pathlib.Path, help="run folder of `boxloss train`")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder or file to write")
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    parser.add_argument(
        "--format", default="saved_model", help="saved_model or onnx (default: %(default)s)"
    )
    parser.add_argument("--image-size", type=int, help="side of the square (default: the run's)")


def run(args):
    model = run_file(args.run / args.model)
    from boxloss.detector import export, load_detector

    written = export(load_detector(model), args.out, args.format, args.image_size)
    print(f"wrote {args.out}; largest difference {written['difference']:.1e}", file=sys.stderr)
    return written
