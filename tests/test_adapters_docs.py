"""The blocks and outputs of docs/adapters.md, and the program that it names, with the libraries."""

import contextlib
import io
import pathlib
import re
import runpy

import pytest
from detector_libraries import HERE, MARKS
from test_readme import BLOCK, run_block

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adapters.md").read_text("utf-8")
pytestmark = MARKS
if HERE:
    import cv2
    import foreign_detectors as foreign
    import numpy as np

SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMMAND = re.compile(r"^\$ python (\S+) ([^#\n]*).*\n((?:.+\n)+?)```", re.MULTILINE)
NUMBER = re.compile(r"-?\d+\.\d+")
# A training of seconds; `plots` would load a font.
SHORT = {
    **{"epochs": 1, "imgsz": 64, "batch": 2, "workers": 0, "device": "cpu", "plots": False},
    **{"val": False, "amp": False, "verbose": False},
}


@pytest.fixture()
def folder(tmp_path, monkeypatch):
    """A folder with images/, labels/ and data.yaml, in which the blocks run."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for name in "abcd":
        cv2.imwrite(str(tmp_path / f"images/{name}.jpg"), rng.integers(0, 255, (60, 80, 3)))
        (tmp_path / f"labels/{name}.txt").write_text("0 0.5 0.4 0.5 0.4\n1 0.3 0.7 0.2 0.3\n")
    names = "names:\n  0: cat\n  1: dog\n"
    yaml = f"path: {tmp_path}\ntrain: images\nval: images\n{names}"
    (tmp_path / "data.yaml").write_text(yaml)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture()
def short(monkeypatch):
    """Trainings of Ultralytics are as short as `SHORT`; gives the arguments of each."""
    from ultralytics import YOLO

    original, asked = YOLO.train, []

    def train(model, **arguments):
        asked.append(arguments)
        return original(model, **{**arguments, **SHORT})

    monkeypatch.setattr(YOLO, "train", train)
    return asked


def blocks(section):
    return [code for code, _ in BLOCK.findall(SECTIONS[section])]


def test_every_block_of_the_page_is_run_here():
    found = {section: len(blocks(section)) for section in SECTIONS if blocks(section)}
    assert found == {"Ultralytics": 2, "torchvision": 1, "Transformers": 1}
    assert PAGE.count("```python") == 4 and len(COMMAND.findall(PAGE)) == 3


def test_the_blocks_on_ultralytics_train_and_leave_a_history(folder, short):
    code = "\n".join(blocks("Ultralytics"))
    with contextlib.redirect_stdout(io.StringIO()):
        run_block(code)
    assert [one["data"] for one in short] == ["data.yaml"] * 2 and short[1]["mosaic"] == 0
    history = (folder / "runs" / "wiou" / "box_history.csv").read_text().splitlines()
    assert len(history) == 1 + 2 * 4


def test_the_block_on_torchvision_runs():
    model, _ = foreign.make("fcos")
    names = {"model": model, "images": list(foreign.images()), "targets": foreign.vision_targets()}
    exec(blocks("torchvision")[0], names)
    expected = foreign.compare("fcos", ["ciou"]).split()[-1]
    assert float(names["losses"]["bbox_regression"]) == pytest.approx(float(expected), rel=1e-4)


def test_the_block_on_transformers_runs():
    model, losses = foreign.make("rt_detr")
    built_in, found = float(losses(model)[0]), []

    class Trainer:
        def train(self):
            found.append(float(losses(model)[0]))

    exec(blocks("Transformers")[0], {"trainer": Trainer()})
    assert abs(found[0] - built_in) > 1e-3
    assert float(losses(model)[0]) == pytest.approx(built_in, rel=1e-6)


@pytest.mark.parametrize(
    "program, words, output",
    COMMAND.findall(PAGE),
    ids=[m[1].strip() for m in COMMAND.findall(PAGE)],
)
def test_a_command_prints_what_the_page_shows(program, words, output):
    module = runpy.run_path(str(ROOT / program))
    printed = "".join(f"{module['compare'](name)}\n" for name in words.split())
    assert NUMBER.sub("", printed) == NUMBER.sub("", output)
    # Another processor rounds otherwise, and a network multiplies it.
    shown = [float(number) for number in NUMBER.findall(output)]
    assert [float(number) for number in NUMBER.findall(printed)] == pytest.approx(shown, rel=2e-4)


def test_the_program_trains_on_a_folder_and_opens_the_page(folder, short, monkeypatch):
    main = runpy.run_path(str(ROOT / "scripts" / "examples" / "ultralytics_wiou.py"))["main"]
    opened = []
    main("data.yaml", folder / "images", 1, opened.append, imgsz=64, device="cpu")
    page = pathlib.Path(opened[0].removeprefix("file://"))
    assert "<html" in page.read_text("utf-8")
    assert short[0]["mosaic"] == 0 and short[0]["epochs"] == 1
