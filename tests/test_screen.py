"""Manners of the commands: the screen is theirs, answers come at once, one object on stdout."""

import io
import json
import os
import re
import subprocess
import sys

import pytest

import boxloss
from boxloss import cli, losses
from boxloss.cli import choices, settings
from boxloss.training import Options
from boxloss.training.bar import Bar

HELD = """
import os, sys, warnings, logging
from boxloss.cli import screen
with screen.held():
    print("a library prints")
    os.write(2, b"E0000 from C++\\n")
    logging.getLogger("absl").warning("logged")
    warnings.warn("not ours")
    print("ours", file=sys.stderr)
    {end}
print("after", file=sys.stderr)
"""


def python(code, *words, **how):
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, **how)


def call(capsys, *words):
    status = cli.main(list(words))
    return status, *capsys.readouterr()


def test_what_libraries_write_is_not_shown():
    done = python(HELD.format(end=""))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "ours\nafter\n")


@pytest.mark.parametrize(
    "end, last", [("1 / 0", "ZeroDivisionError"), ("os.kill(os.getpid(), 9)", "")]
)
def test_what_libraries_wrote_is_shown_where_something_failed(end, last):
    done = python(HELD.format(end=end))
    assert done.returncode != 0
    for text in ("a library prints", "E0000 from C++", "logged", "not ours", last):
        assert text in done.stderr
    assert done.stderr.startswith("ours\n")


def test_a_training_goes_on_when_nobody_reads_its_progress():
    code = "import os, sys\nos.close(0)\nread, write = os.pipe()\nos.dup2(write, 2)\n"
    code += "os.close(read), os.close(write)\n" + HELD.format(end="print('done', file=out)")
    done = python("out = open(1, 'w', closefd=False)\n" + code.replace('print("after"', "#"))
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_reader_who_has_read_enough_is_no_error():
    code = "import os\nfrom boxloss import cli\nread, write = os.pipe()\nos.close(read)\n"
    code += "os.dup2(write, 1)\ncli.print_object({'boxes': 1})"
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_path_answers_before_a_backend_is_imported(tmp_path):
    """One process for all: the answer of each command, and whether Keras was imported."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.keras").write_bytes(b"")
    out = ("--out", str(tmp_path / "out"))
    truth = tmp_path / "truth.json"
    truth.write_text("{}")
    lines = [
        ("train", "--images", "typo", "--annotations", "typo.json", *out),
        ("train", "--images", str(run), "--annotations", "typo.json", *out),
        ("train", "--loss", "cioo", "--images", str(run), "--annotations", "typo.json", *out),
        ("train", "--batch-size", "0", "--images", str(run), "--annotations", "typo.json", *out),
        ("evaluate", str(run), "--images", "typo", "--annotations", "typo.json"),
        ("evaluate", "typo", "--images", str(run), "--annotations", str(truth)),
        ("predict", str(run), "typo", *out),
        ("predict", "typo", str(run), *out),
        ("export", "typo", *out),
        ("explore", "typo"),
        ("explore", "--truth", "typo", "--detections", "typo", *out),
        ("audit", "typo"),
        ("audit", "--truth", "typo.json", "--detections", "typo", *out),
        ("simulate", "--loss", "cioo"),
    ]
    code = "import sys, json\nfrom boxloss import cli\n"
    code += "for words in json.loads(sys.argv[1]):\n"
    code += "    print(cli.main(words), 'keras' in sys.modules)\n"
    done = python(code, json.dumps(lines))
    assert done.stdout.splitlines() == ["2 False"] * len(lines), done.stderr
    stderr = done.stderr.splitlines()
    assert len(stderr) == len(lines)
    for line, words in zip(stderr, lines, strict=True):
        assert line.startswith(f"boxloss {words[0]}: "), line
        assert re.search("typo|cioo|batch_size=0", line), line


def test_version_help_and_module():
    run = (sys.executable, "-m", "boxloss")
    for words, expected in (
        (("--version",), f"boxloss {boxloss.__version__}\n"),
        (("-V",), f"boxloss {boxloss.__version__}\n"),
        (("help",), f"{cli.usage()}\n"),
    ):
        done = subprocess.run([*run, *words], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_help_of_a_command_is_its_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["help", "simulate"])
    assert capsys.readouterr().out.startswith("usage: boxloss simulate ")


@pytest.mark.parametrize("word, near", [("trian", "train"), ("Audit", "audit"), ("xyz", None)])
def test_a_misspelt_command_gets_a_near_match(capsys, word, near):
    status, printed, stderr = call(capsys, word)
    hint = f" Did you mean {near!r}?" if near else ""
    assert (status, printed) == (2, "")
    assert stderr == (
        f"boxloss: the command must be one of {', '.join(cli.COMMANDS)}.{hint} Received: {word!r}\n"
    )


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_fits_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    if command is None:
        text = cli.usage()
    else:
        text = cli.parser_of(f"boxloss {command}", cli.module_of(command)).format_help()
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_the_choices_are_shown(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = cli.parser_of("boxloss train", cli.module_of("train")).format_help()
    shown = set(re.findall(r"\w+", text))
    assert shown >= {*losses.names("box"), "nano", "small", "tensorflow", "jax", "torch"}


def test_names_read_from_the_source_are_those_of_the_registry():
    assert list(choices.box_losses()) == losses.names("box")


def test_the_parser_has_no_settings_of_its_own():
    parser = cli.parser_of("boxloss train", cli.module_of("train"))
    args = parser.parse_args(["--images", "a", "--annotations", "b", "--out", "c"])
    assert settings.given_settings(args) == {}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_does_not_get_long_lists(monkeypatch):
    result = {"losses": {"iou": {"errors": list(range(201)), "short": [1, 2]}}, "sum": 3.0}
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stdout", stream)
        cli.print_object(result)
        printed = json.loads(stream.getvalue())
        if not stream.isatty():
            assert printed == result
    found = printed["losses"]["iou"]
    assert found["short"] == [1, 2] and printed["sum"] == 3.0
    assert found["errors"] == "201 values (shown where stdout is a file or a pipe)"
    assert len(stream.getvalue()) < 200


class Position:
    """What the bar reads of `Progress`: epoch 2 of 8 was broken off after step 5 of 9."""

    def __init__(self):
        self.position = {"epoch": 2, "step": 5}
        self.steps, self.options = 9, Options(epochs=8)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_the_bar_counts_epochs_and_steps_of_the_whole_run(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    progress = Position()
    bar = Bar(progress)
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, {"loss": 1.25, "box_loss": 1.0})
    progress.position["step"] = 9
    bar.on_epoch_end(0, {"loss": 0.5, "box_loss": 0.25})
    print("epoch 3: validation AP 0.1", file=sys.stderr)
    lines = sys.stderr.getvalue().splitlines()
    shown = [line.rstrip() for line in lines if line.strip()]
    assert shown[-1] == "epoch 3: validation AP 0.1"
    assert shown[-2].startswith("Epoch 3/8  step 9/9  loss 0.5000  box_loss 0.2500")
    assert (len(shown) == 3) == sys.stderr.isatty()
    if len(shown) == 3:
        assert shown[0].startswith("Epoch 3/8  step 6/9  loss 1.2500")
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize("flag", [True, False])
def test_a_backend_that_is_not_installed_is_one_line(monkeypatch, capsys, flag):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "keras")
    words = ("--backend", "jax") if flag else ()
    data = ("--images", "typo", "--annotations", "typo", "--out", "typo")
    asked = "jax" if flag else os.environ["KERAS_BACKEND"]
    status, printed, stderr = call(capsys, "train", *data, *words)
    assert (status, printed) == (2, "")
    assert stderr == (
        "boxloss train: `--backend` or KERAS_BACKEND must be a backend that is "
        f'installed (pip install "boxloss[{asked}]"). Received: {asked!r}\n'
    )


def test_a_package_that_is_missing_is_one_line(monkeypatch, capsys):
    def run(args):
        raise ModuleNotFoundError("No module named 'scipy.optimize'", name="scipy.optimize")

    monkeypatch.setattr(cli.module_of("simulate"), "run", run)
    status, printed, stderr = call(capsys, "simulate")
    assert (status, printed) == (2, "")
    assert stderr == (
        "boxloss simulate: the package of the module 'scipy.optimize' must be installed "
        '(pip install "boxloss[train]"; `boxloss doctor` shows what is missing)\n'
    )


@pytest.mark.parametrize(
    "configured, there, expected",
    [
        (None, {"tensorflow", "jax", "torch"}, None),
        (None, {"jax", "torch"}, "jax"),
        (None, {"torch"}, "torch"),
        ("torch", {"tensorflow", "torch"}, None),
        ("torch", {"tensorflow", "jax"}, "tensorflow"),
        (None, set(), None),
    ],
)
def test_the_installed_backend_is_taken(monkeypatch, tmp_path, configured, there, expected):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if configured:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": configured}))
    monkeypatch.setattr(boxloss.importlib.util, "find_spec", lambda name: name in there or None)
    boxloss._choose_backend()
    assert os.environ.pop("KERAS_BACKEND", None) == expected
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    boxloss._choose_backend()
    assert os.environ["KERAS_BACKEND"] == "openvino"
