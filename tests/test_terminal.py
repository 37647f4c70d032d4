"""Each command in a pseudo-terminal, as a person runs it: no line that is not ours."""

import json
import os
import re
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")

# What the commands print for people; every line of the terminal must be one of these whole.
OURS = [
    r"(all|training|validation): \d+ images? .*",
    r".*\d+ images? \(\d+ without boxes\), \d+ box(es)?, \d+ class(es)?: .*",
    r"  class +boxes +small +medium +large +images",
    r"  \w+( +\d+){5}",
    r"Epoch \d+/\d+  step \d+/\d+  loss [\d.]+.*",
    r"epoch \d+: validation AP [\d.]+, AP50 [\d.]+( \(best\))?",
    r"settings \(--preset \w+; every flag that is given wins\):",
    r"  (--[\w-]+( [\w.-]+)?(, )?)+: \w.*",
    r"  given by you: --.*",
    r"only \d+ validation images: with other ones AP may differ by several hundredths",
    r"few validation boxes, so the AP of these classes says little: .*",
    r"no training box, so the detector cannot learn these classes: .*",
    r"time: about .* on this machine as busy as it is now .*",
    r"  class +boxes +AP +AP50 +precision +recall",
    r"  \w+ +\d+( +(-|[01]\.\d{3})){4}",
    r"  precision and recall at confidence [\d.]+ and IoU 0\.5",
    r"validation images: AP [\d.]+, AP50 [\d.]+, AP75 [\d.]+\. Next:",
    r"  open \S+",
    r"  boxloss predict \S+ IMAGES --out \S+",
    r"next: open \S+",
    r"\d+ boxes of at least [\d.e-]+ in \d+ images: \S+",
    r"the highest score is [\d.e-]+: --score-threshold [\d.e-]+ shows more",
    r"\d+ rows in [\d.]+ s: open \S+",
    r"\d+ boxes, \d+ of them or of places without one look wrong; .*",
    r"\d+ detections?, images paired by .*",
    r"\w+ +\[[#.]{30}\] \d+/\d+ +[\d.]+ s",
    r"wrote \S+(; largest difference [\d.e+-]+)?",
    r"boxloss [\d.]+, Python [\d.]+, \S+",
    r"(backend|device) +\S+",
    r"[a-z\d-]+ +\d[\w.+]*",
    r".{20,} (ready|missing .*)",
]
COMMANDS = {
    "make-synthetic": "make-synthetic --out {0}/data --count 8 --image-size 64 --seed 3",
    "train": "train --images {0}/data/images --annotations {0}/data/annotations.json "
    "--image-size 64 --epochs 2 --batch-size 4 --size nano --out {0}/run",
    "evaluate": "evaluate {0}/run",
    "predict": "predict {0}/run {0}/data/images --out {0}/found",
    "export": "export {0}/run --out {0}/saved",
    "explore": "explore {0}/run",
    "audit": "audit {0}/run --score 0.001",
    "simulate": "simulate --loss giou --points vogel1",
    "doctor": "doctor",
}


def in_a_terminal(words):
    """(exit status, what was printed) of a command whose stdout and stderr are one terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "boxloss", *words]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    printed = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the last one who had the terminal open is gone
            break
        if not piece:
            break
        printed += piece
    os.close(ours)
    return process.wait(), printed.decode()


def test_a_line_of_another_library_is_seen():
    for line in ("I0000 00:00:1 port.cc:153] oneDNN custom operations are on.", "WARNING: All log"):
        assert not any(re.fullmatch(pattern, line) for pattern in OURS)


@pytest.mark.slow(90)
def test_every_command_has_the_screen_for_itself(tmp_path):
    from boxloss import cli

    assert COMMANDS.keys() <= set(cli.COMMANDS)
    foreign = {}
    for name, words in COMMANDS.items():
        status, printed = in_a_terminal(words.format(tmp_path).split())
        assert status == 0, printed
        *lines, last = [line.rstrip() for line in re.split(r"[\r\n]+", printed) if line.strip()]
        assert isinstance(json.loads(last), dict) and len(last) < 5000
        foreign[name] = [
            line for line in lines if not any(re.fullmatch(pattern, line) for pattern in OURS)
        ]
    assert foreign == {name: [] for name in COMMANDS}
