"""`boxloss <command>`: one parser, one file a command.

A command module has `HELP` (one line), `EPILOG` (examples), `add_arguments(parser)` and
`run(args)`, which returns the dict that is printed as one JSON object on stdout. Whatever people
read goes to stderr.
"""

import argparse
import importlib
import json
import os
import sys

from boxloss.cli import tuning

COMMANDS = (
    "make-synthetic",
    "train",
    "evaluate",
    "predict",
    "export",
    "explore",
    "audit",
    "simulate",
    "doctor",
)

# Those that train or run a detector.
TRAIN_DETECTORS = ("train", "evaluate", "predict", "audit")


def module_of(command):
    return importlib.import_module(f"boxloss.cli.{command.replace('-', '_')}")


class Parser(argparse.ArgumentParser):
    """Errors are one line, as those of the commands; argparse puts all flags before it."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help` shows all flags)\n")


def json_object(text):
    """The dict of a flag that is a JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f'must be a JSON object such as {{"beta": 0.5}}. Received: {text!r}'
        )
    return value


def parser_of(prog, module):
    parser = Parser(
        prog=prog,
        description=module.HELP,
        epilog=getattr(module, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def usage():
    lines = ["usage: boxloss COMMAND [...]", "", "commands:"]
    lines += [f"  {command:16} {module_of(command).HELP}" for command in COMMANDS]
    lines += ["", "`boxloss COMMAND --help` shows a command's flags and examples."]
    return "\n".join(lines)


def choose_backend(words):
    """Act on --backend and --devices before anything imports Keras or TensorFlow.

    Both read their environment only then; see `training.devices` for the second.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--backend")
    parser.add_argument("--devices")
    known = parser.parse_known_args(words)[0]
    if known.backend is not None and "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = known.backend
    if known.devices not in (None, "1"):
        tuning.use_onednn(False)


def main(argv=None):
    """Run one command; return the exit status.

    0 well, 1 a check failed, 2 bad input, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    command, rest = argv[0], argv[1:]
    if command not in COMMANDS:
        print(
            f"boxloss: the command must be one of {', '.join(COMMANDS)}. Received: {command!r}",
            file=sys.stderr,
        )
        return 2
    return run_module(f"boxloss {command}", module_of(command), rest, command in TRAIN_DETECTORS)


def run_module(prog, module, argv=None, trains=False):
    """Run a command module, of this package or of scripts/benchmarks; return the exit status.

    prog: its name in errors and in the help. trains: whether it trains or runs a detector.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    choose_backend(argv)
    if trains:
        tuning.for_training()
    args = parser_of(prog, module).parse_args(argv)
    try:
        result = module.run(args)
    except (ValueError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    print(json.dumps(result))
    if result.get("interrupted"):
        return 130
    return 1 if result.get("failed") else 0
