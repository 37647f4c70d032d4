"""`scripts/suspects.py`: pictures of the labels that look most wrong."""

import importlib.util
import json
import pathlib

import cv2
import numpy as np
from audit_scenes import scene


def load_script():
    path = pathlib.Path(__file__).parents[1] / "scripts" / "suspects.py"
    spec = importlib.util.spec_from_file_location("suspects_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_suspects_are_drawn_and_named(tmp_path, capsys):
    script = load_script()
    truth, found = scene(images=5)
    first = truth["annotations"][3]
    x, y, w, h = first["bbox"]
    first["bbox"] = [x + 0.6 * w, y, w, h]  # plainly shifted
    (tmp_path / "photos").mkdir()
    for image in truth["images"]:
        picture = np.full((image["height"], image["width"], 3), 80, "uint8")
        cv2.imwrite(str(tmp_path / "photos" / image["file_name"]), picture)
    for name, content in (("gt", truth), ("dt", found)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    words = ["--truth", tmp_path / "gt.json", "--detections", tmp_path / "dt.json"]
    words += ["--images", tmp_path / "photos", "--first", 14, "--out", tmp_path / "out"]
    script.main([str(word) for word in words])
    printed = capsys.readouterr().out.splitlines()
    assert [line.rpartition("/")[2] for line in printed[:2]] == ["suspects-1.png", "suspects-2.png"]
    assert len(printed) == 2 + 14 and printed[2].startswith("1 ")
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    assert printed[2].endswith(names[first["image_id"]]) and ": move " in printed[2]
    sheets = [cv2.imread(printed[i])[..., ::-1].astype(int) for i in (0, 1)]
    assert sheets[0].shape[0] > 2.5 * sheets[1].shape[0]  # twelve, then two
    # The proposed box is yellow in the first tile.
    tile = sheets[0][: script.pictures.TILE, : script.pictures.TILE]
    assert (np.abs(tile - script.PROPOSED).max(axis=2) < 20).sum() > 20
