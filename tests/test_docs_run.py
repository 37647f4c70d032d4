"""The commands of README and docs that train nothing run, in a folder with the names they use."""

import json
import pathlib
import shutil

import pytest
from test_docs_commands import PAGES, commands, words_of

from boxloss import cli
from boxloss.datasets import synthetic

INPUTS = ("--images", "--annotations", "--truth", "--detections")
FILES = ("photos/", "photos.json", "data.yaml", "predictions.json")
LONGER = {"--folds", "--history", "--apply"}  # they need a training, a run or a review before


def runnable():
    """Each whole command whose inputs are among FILES, once."""
    found = {}
    for page in PAGES:
        for line, whole in commands(page.read_text("utf-8")):
            words = words_of(line)
            inputs = [words[i + 1] for i, word in enumerate(words[:-1]) if word in INPUTS]
            trains = words[:2] == ["boxloss", "train"] or LONGER & set(words)
            if whole and words[0] == "boxloss" and inputs and set(inputs) <= set(FILES):
                if not trains:
                    found[tuple(words[1:])] = None
    return list(found)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """FILES: three images with labels as COCO and YOLO, and a detection of every box."""
    folder = tmp_path_factory.mktemp("docs")
    dataset = synthetic.write(folder / "made", 3, seed=1, image_size=96, format="yolo")
    (folder / "made" / "images").rename(folder / "photos")
    for path in (folder / "made" / "labels").iterdir():
        path.rename(folder / "photos" / path.name)
    (folder / "data.yaml").write_text(f"names: {json.dumps(dataset.class_names)}\n")
    content = dataset.to_coco()
    (folder / "photos.json").write_text(json.dumps(content))
    results = [
        {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for entry in content["annotations"]
    ]
    (folder / "predictions.json").write_text(json.dumps(results))
    return folder


def test_such_commands_are_found():
    assert {words[0] for words in runnable()} == {"audit", "check", "evaluate", "explore"}


@pytest.mark.parametrize("words", runnable(), ids=" ".join)
def test_a_command_that_trains_nothing_runs(words, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(shutil.copytree(photos, tmp_path / "here"))
    assert cli.main(list(words)) == 0
    printed = json.loads(capsys.readouterr().out)
    if words[0] == "evaluate":
        assert printed["AP"] == pytest.approx(1.0)  # every box is found, and paired by its stem
    else:
        assert pathlib.Path(printed["page"]).is_file()
