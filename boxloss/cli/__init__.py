"""`boxloss <command>`: one parser, one file per command.

A command module has `HELP` (one line), `EPILOG` (examples), `add_arguments(parser)` and
`run(args)`, which returns the dict that is printed as one JSON object on stdout. Whatever people
read goes to stderr.
"""

import argparse
import difflib
import importlib
import importlib.util
import json
import os
import sys

import boxloss
from boxloss.cli import processes, screen, tuning
from boxloss.files import json_of

COMMANDS = (
    "make-synthetic",
    "check",
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
BACKENDS = ("tensorflow", "jax", "torch")
LONGEST_LIST = 20  # of what is printed on a terminal


def module_of(command):
    return importlib.import_module(f"boxloss.cli.{command.replace('-', '_')}")


class Parser(argparse.ArgumentParser):
    """Errors are one line, as those of the commands; argparse puts all flags before it."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help` shows all flags)\n")


def json_object(text):
    """The dict of a flag that is a JSON object."""
    try:
        value = json_of(text)
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
    lines += [f"  {command:15} {module_of(command).HELP}" for command in COMMANDS]
    lines += ["", "`boxloss COMMAND --help` shows the flags and examples of a command,"]
    lines += ["`boxloss --version` the version."]
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


def check_backend():
    """ValueError where the backend is not installed: Keras fails with a page of traceback."""
    asked = os.environ.get("KERAS_BACKEND")
    if asked in BACKENDS and importlib.util.find_spec(asked) is None:
        raise ValueError(
            "`--backend` or KERAS_BACKEND must be a backend that is installed "
            f'(pip install "boxloss[{asked}]"). Received: {asked!r}'
        )


def main(argv=None):
    """Run one command; return the exit status.

    0 well, 1 a check failed, 2 bad input, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["help"]:  # `boxloss help train` is `boxloss train --help`
        argv = [*argv[1:2], "--help"]
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"boxloss {boxloss.__version__}")
        return 0
    command, rest = argv[0], argv[1:]
    if command not in COMMANDS:
        print(_unknown(command), file=sys.stderr)
        return 2
    return run_module(f"boxloss {command}", module_of(command), rest, command in TRAIN_DETECTORS)


def _unknown(command):
    near = difflib.get_close_matches(command.lower(), COMMANDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"boxloss: the command must be one of {', '.join(COMMANDS)}.{hint} Received: {command!r}"


def run_module(prog, module, argv=None, trains=False):
    """Run a command module, of this package or of scripts/benchmarks; return the exit status.

    prog: its name in errors and in the help. trains: whether it trains or runs a detector.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    choose_backend(argv)
    if trains:
        tuning.for_training()
    args = parser_of(prog, module).parse_args(argv)
    return processes.leave(_status(prog, module, args))


def _status(prog, module, args):
    """The exit status of a command, after its result is printed."""
    try:
        with screen.held():
            result = _run(prog, module, args)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except SystemExit as end:
        if not processes.JOINED:
            raise
        return end.code
    if result is None:
        return 2
    print_object(result)
    if result.get("interrupted"):
        return 130
    return 1 if result.get("failed") else 0


def _run(prog, module, args):
    """The dict of a command, or None after one line about what cannot be done."""
    try:
        if prog != "boxloss doctor":  # which reports what is missing
            check_backend()
        return module.run(args)
    except (ValueError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "boxloss":
            raise
        print(
            f"{prog}: the package of the module {error.name!r} must be installed "
            f'(pip install "boxloss[train]"; `boxloss doctor` shows what is missing)',
            file=sys.stderr,
        )
    return None


def print_object(result):
    """Print `result` to stdout as one JSON object; without its long lists on a terminal."""
    if sys.stdout.isatty():
        result = _without_long_lists(result)
    try:
        print(json.dumps(result), flush=True)
    except BrokenPipeError:
        # Whoever reads has read enough. Python flushes once more at its end: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _without_long_lists(value):
    if isinstance(value, dict):
        return {key: _without_long_lists(inner) for key, inner in value.items()}
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return f"{len(value)} values (shown where stdout is a file or a pipe)"
    return value
