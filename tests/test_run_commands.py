"""What the commands take from a run: its threshold, its data, its classes; and what stops a run."""

import json

import cv2
import numpy as np
import pytest

from boxloss import cli, datasets, training
from boxloss.cli import evaluate, explore, predict
from boxloss.datasets import synthetic
from boxloss.detector import Detector
from boxloss.training import Options, progress, readable
from boxloss.training.folder import config_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder as training leaves it, of a detector that learnt nothing."""
    folder = tmp_path_factory.mktemp("commands")
    synthetic.write(folder / "data", 6, seed=3, image_size=64)
    out = folder / "run"
    out.mkdir()
    words = ["train", "--images", folder / "data" / "images", "--out", out]
    words += ["--annotations", folder / "data" / "annotations.json"]
    command = cli.module_of("train")
    args = cli.parser_of("boxloss train", command).parse_args([str(word) for word in words[1:]])
    sets = command.load_sets(args)
    detector = Detector(sets[0].class_names, image_size=64, category_ids=sets[0].category_ids)
    detector.save(out / "model.keras")
    config = config_of(*sets, Options()) | {"data": command.data_of(args)}
    (out / "config.json").write_text(json.dumps(config))
    (out / "metrics.json").write_text(json.dumps({"threshold": 0.123}))
    return out


def call(capsys, *words):
    status = cli.main([str(word) for word in words])
    printed, stderr = capsys.readouterr()
    return status, json.loads(printed) if printed else None, stderr


def test_evaluate_alone_measures_the_validation_data_of_the_run(run, capsys):
    status, metrics, stderr = call(capsys, "evaluate", run)
    assert status == 0, stderr
    data = run.parent / "data"
    whole = datasets.load(data / "images", data / "annotations.json")
    expected = datasets.split(whole)[1]
    assert 0 < metrics["n_images"] == len(expected.records) < 6
    assert 0 <= metrics["threshold"] <= 1
    found = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert found == metrics


def test_predict_takes_the_threshold_of_the_run_and_says_what_would_show_more(run, capsys):
    out = run.parent / "found"
    images = run.parent / "data" / "images"
    status, printed, stderr = call(capsys, "predict", run, images, "--out", out, "--no-drawings")
    assert status == 0 and printed["score_threshold"] == 0.123
    high = ("--score-threshold", 0.999)
    _, printed, stderr = call(capsys, "predict", run, images, "--out", out, "--no-drawings", *high)
    assert printed["boxes"] == 0 and 0 < printed["highest_score"] < 0.999
    assert f"the highest score is {printed['highest_score']:.3g}: --score-threshold " in stderr
    low = ("--score-threshold", printed["highest_score"])
    _, printed, stderr = call(capsys, "predict", run, images, "--out", out, *low)
    assert printed["boxes"] >= 1 and "the highest score" not in stderr
    assert len(list((out / "drawings").iterdir())) == 6


@pytest.mark.parametrize(
    "text, expected",
    [(None, 0.3), ("[]", 0.3), ('{"threshold": 0}', 0.3), ('{"threshold": "a"}', 0.3), ("{", 0.3)],
)
def test_a_run_without_a_threshold_has_that_of_before(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    parser = cli.parser_of("boxloss predict", predict)
    assert predict.threshold_of(parser.parse_args([str(tmp_path), "x", "--out", "y"])) == expected


def test_data_without_a_known_class_is_refused_with_both_lists(run, tmp_path, capsys):
    data = run.parent / "data"
    content = json.loads((data / "annotations.json").read_text())
    for category in content["categories"]:
        category["name"] = f"new {category['name']}"
    (tmp_path / "other.json").write_text(json.dumps(content))
    words = ("--images", data / "images", "--annotations", tmp_path / "other.json")
    status, _, stderr = call(capsys, "evaluate", run, *words, "--out", tmp_path / "out")
    assert status == 2
    assert stderr.splitlines()[-1] == (
        "boxloss evaluate: `annotations` must be of classes that the detector knows. Received: "
        "'new circle', 'new rectangle', 'new triangle'; it knows 'circle', 'rectangle', 'triangle'"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [None, [], {"images": 1}])
def test_a_run_that_does_not_say_its_data_is_one_line(data):
    with pytest.raises(ValueError, match="`--images` and `--annotations` must be given: config"):
        evaluate.dataset_of(
            cli.parser_of("boxloss evaluate", evaluate).parse_args(["run"]), {"data": data}, ["a"]
        )


class Report:
    def __init__(self, *names):
        self.images = [{"file_name": name} for name in names]


def test_runs_without_a_common_image_are_not_compared(capsys):
    assert explore.images_in_common(Report("a", "b", "c"), Report("c", "b", "d")) == 2
    stderr = capsys.readouterr().err
    assert stderr == "compared in the 2 images that are in both, of 3 here and 3 there\n"
    assert explore.images_in_common(Report("a"), Report("a")) == 1
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="Received: none in common, 2 images here and 1 there"):
        explore.images_in_common(Report("a", "b"), Report("c"))


# Images that vanish -------------------------------------------------------------------------------


def test_more_than_5_percent_of_unreadable_images_are_named():
    readable.check_readable("images", ["a.jpg"], 20)
    with pytest.raises(ValueError) as error:
        readable.check_readable("images", [f"{i}.jpg" for i in range(7)], 100)
    assert str(error.value) == (
        "`images` must stay readable, all but 5% of the images. Received: 7 of 100 that cannot be "
        "read: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more"
    )


class Reader:
    def predict(self, images, score_threshold):
        empty = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
        return [empty for _ in images]


def test_validation_images_that_vanish_stop_an_evaluation(tmp_path, capsys):
    synthetic.write(tmp_path, 4, seed=3, image_size=64)
    dataset = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    assert readable.results_of(Reader(), dataset) == []
    (tmp_path / "images" / "000002.jpg").unlink()
    with pytest.raises(ValueError, match="`val_images` must stay readable.* 1 of 4 .*000002.jpg"):
        readable.results_of(Reader(), dataset)


def test_training_images_that_vanish_stop_the_run(tmp_path):
    synthetic.write(tmp_path, 4, seed=3, image_size=64)
    dataset = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    batches = datasets.Batches(dataset, 4, 64)
    cv2.imwrite(str(tmp_path / "images" / "000003.jpg"), np.zeros((64, 64, 3), "uint8"))
    (tmp_path / "images" / "000001.jpg").write_bytes(b"gone")
    batches[0]
    one = progress.Progress(tmp_path, Options(), dataset, dataset, 1, None, batches.unreadable)
    with pytest.raises(ValueError, match="`images` must stay readable.* 1 of 4 .*000001.jpg"):
        one.on_train_batch_end(0, {"loss": 1.0})


@pytest.mark.long(30)
def test_a_finished_run_whose_model_broke_gets_it_back(tmp_path, capsys):
    """What the refusal of the broken file advises works: --resume --overwrite."""
    synthetic.write(tmp_path, 3, seed=3, image_size=64)
    whole = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    options = Options(image_size=64, epochs=1, batch_size=3, augment=False)
    out = tmp_path / "run"
    before = training.train(whole, whole, options, out, verbose=0)
    good = (out / "model.keras").read_bytes()
    (out / "model.keras").write_bytes(good[:3000])
    with pytest.raises(ValueError, match="changed since boxloss wrote it.*'model.keras'"):
        training.train(whole, whole, options, out, resume=True, verbose=0)
    words = ["train", "--images", whole.root, "--annotations", tmp_path / "annotations.json"]
    words += ["--val-images", whole.root, "--val-annotations", tmp_path / "annotations.json"]
    words += ["--image-size", 64, "--epochs", 1, "--batch-size", 3, "--no-augment", "--out", out]
    words += ["--size=nano", "--bins=0"]
    status, metrics, stderr = call(capsys, *words, "--resume", "--overwrite")
    assert status == 0 and "the last weights take its place" in stderr
    assert metrics["AP"] == pytest.approx(before["AP"], abs=1e-6)
    assert len((out / "model.keras").read_bytes()) == len(good)


def test_predict_evaluate_and_explore_hand_the_tiles_to_the_detector(run, capsys, monkeypatch):
    seen = []

    def predict(self, images, **how):
        seen.append((how.get("tile"), how.get("overlap")))
        box = np.array([[1, 2, 30, 40]], "float32")
        one = {"boxes": box, "labels": np.zeros(1, "int64"), "scores": np.ones(1, "float32")}
        return [one for _ in images]

    monkeypatch.setattr(Detector, "predict", predict)
    images, out = run.parent / "data" / "images", run.parent / "tiled"
    tiled = ("--tile", 32, "--overlap", 0.3)
    for words in (
        ("predict", run, images, "--out", out, "--no-drawings", *tiled),
        ("evaluate", run, "--out", out / "evaluation", *tiled),
        ("explore", run, *tiled),
    ):
        seen.clear()
        status, printed, stderr = call(capsys, *words)
        assert status == 0, stderr
        assert seen and set(seen) == {(32, 0.3)}
    assert printed["page"] == str(run / "tiles" / "explorer" / "index.html")
    assert (run / "tiles" / "boxes.csv").is_file() and not (run / "explorer").exists()


@pytest.mark.parametrize("command", ["evaluate", "explore"])
def test_tiles_need_a_detector(run, capsys, command):
    truth = run.parent / "data" / "annotations.json"
    words = ("--annotations", truth, "--detections", truth, "--out", run.parent / "x", "--tile", 9)
    status, _, stderr = call(capsys, command, *words)
    assert status == 2
    assert stderr == (
        f"boxloss {command}: `--tile` must come with a run, whose detector is to look at the "
        f"tiles. Received: tile=9, detections={str(truth)!r}\n"
    )
