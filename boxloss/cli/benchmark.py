"""`boxloss benchmark`: how fast the parts are, next to what others offer."""

import importlib

from boxloss.cli import tuning

HELP = "Measure losses, assignment and training beside others; page, import and audit."
EPILOG = """examples:
  boxloss benchmark losses --boxes 100 10000 1000000 --out benchmarks
  boxloss benchmark losses --addons-python addons/bin/python
  boxloss benchmark assignment --ultralytics-python ultralytics/bin/python
  boxloss benchmark training --images photos --annotations photos.json --out benchmarks
  boxloss benchmark page --boxes 10000
  boxloss benchmark import
  boxloss benchmark audit --truth gt.json --detections results.json --out benchmarks
  boxloss benchmark history --out benchmarks/history
"""
PARTS = ("losses", "assignment", "training", "page", "import", "audit", "history")
TRAIN_DETECTORS = ("training", "audit", "history")


def add_arguments(parser):
    parts = parser.add_subparsers(dest="part", required=True)
    for name in PARTS:
        part = importlib.import_module(f"boxloss.cli.benchmark_{name}")
        part.add_arguments(parts.add_parser(name, help=part.HELP, description=part.HELP))


def run(args):
    if args.part in TRAIN_DETECTORS:
        tuning.for_training()
    return importlib.import_module(f"boxloss.cli.benchmark_{args.part}").run(args)
