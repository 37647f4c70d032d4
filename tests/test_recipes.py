"""The recipes for other tools in `scripts/examples`: experiment logs, SAHI, KerasHub, FiftyOne."""

import importlib.util
import json
import pathlib
import runpy
import sys
import types

import numpy as np
import pytest

from boxloss import datasets
from boxloss.tensors import ops

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = ROOT / "scripts" / "examples"
SAMPLE = ROOT / "data" / "sample"

if ops.backend() != "tensorflow" or not ops.KERAS_3:
    pytest.skip("the recipes run on TensorFlow here", allow_module_level=True)


def recipe(name, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


# Experiment logs ----------------------------------------------------------------------------------


class Model:
    """Predicts the same boxes whatever it is given."""

    def __init__(self, boxes):
        self.boxes = boxes

    def predict(self, x, verbose=0):
        return self.boxes


def test_the_callback_sends_errors_of_real_boxes_and_the_mean_of_each_side(monkeypatch):
    import boxloss

    log = recipe("box_errors_log", monkeypatch)["LogBoxErrors"]
    y_true = np.float32([[[0, 0, 8, 4], [2, 2, 6, 9]], [[1, 1, 5, 3], [-1, -1, -1, -1]]])
    moves = np.float32([[[1, 0, 0, 0], [0, 0, 2, 0]], [[2, 0, 1, -3], [90, 0, 90, 0]]])
    sent = []
    callback = log(lambda *given: sent.append(given), boxloss.L1BoxLoss(), None, y_true)
    callback.set_model(Model(y_true + moves))
    callback.on_epoch_end(4)
    ((epoch, numbers, errors),) = sent
    assert epoch == 4 and sorted(errors) == [1, 2, 6]  # padding has none
    assert numbers == pytest.approx(
        {
            **{"box_error/p50": 2, "box_error/p90": 2 + 0.8 * 4, "box_error/p100": 6},
            **{"side/x1": 1, "side/y1": 0, "side/x2": 1, "side/y2": -1},
        }
    )


def fake_wandb(log):
    run = types.SimpleNamespace(log=lambda values, step: log.append((step, values)))
    return types.SimpleNamespace(
        init=lambda project: log.append(project) or run, Histogram=lambda errors: len(errors)
    )


def fake_mlflow(log):
    return types.SimpleNamespace(
        set_experiment=log.append, log_metrics=lambda values, step: log.append((step, values))
    )


@pytest.mark.parametrize(
    "tracker, fake, extra", [("wandb", fake_wandb, {"box_error": 3}), ("mlflow", fake_mlflow, {})]
)
def test_a_client_gets_the_numbers_of_an_epoch(tracker, fake, extra, monkeypatch):
    log, numbers = [], {"box_error/p50": 1.5, "side/y2": -2.0}
    monkeypatch.setitem(sys.modules, tracker, fake(log))
    send = recipe("box_errors_log", monkeypatch)["SENDERS"][tracker]("mine")
    send(4, numbers, np.float32([1, 2, 3]))
    assert log == ["mine", (4, numbers | extra)]


@pytest.mark.slow
def test_a_training_is_logged_epoch_by_epoch(monkeypatch):
    log = []
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb(log))
    made = recipe("box_errors_log", monkeypatch)
    made["main"](["--to", "wandb", "--name", "mine", "--epochs", "3"])
    name, *epochs = log
    assert name == "mine" and [step for step, _ in epochs] == [0, 1, 2]
    assert epochs[2][1]["box_error/p50"] < epochs[0][1]["box_error/p50"]
    real = (made["data"]()[1] != -1).any(axis=-1).sum()
    assert [values["box_error"] for _, values in epochs] == [real] * 3


@pytest.mark.slow
def test_tensorboard_reads_what_is_written(monkeypatch, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    main = recipe("box_errors_log", monkeypatch)["main"]
    main(["--to", "tensorboard", "--name", str(tmp_path), "--epochs", "2"])
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"box_error/p90", "side/y2", "box_error"} <= set(events.Tags()["tensors"])
    assert [event.step for event in events.Tensors("side/x1")] == [0, 1]


# SAHI ---------------------------------------------------------------------------------------------


class ColourDetector:
    """Finds each patch of red in a picture: a detector that is right in every slice."""

    class_names, category_ids = ["red", "blue"], [7, 3]

    def predict(self, images, score_threshold):
        assert score_threshold == 0.05
        return [self.one(image) for image in images]

    def one(self, image):
        import cv2

        mask = (image[..., 0] > 200).astype("uint8")
        patches = cv2.connectedComponentsWithStats(mask)[2][1:]  # x, y, width, height, area
        boxes = [[x, y, x + w, y + h] for x, y, w, h, _ in patches]
        return {
            "boxes": np.float32(boxes).reshape(-1, 4),
            "labels": np.zeros(len(boxes), int),
            "scores": np.full(len(boxes), 0.9, "float32"),
        }


def test_slices_come_back_as_boxes_of_the_whole_image(monkeypatch, tmp_path):
    pytest.importorskip("sahi", reason="SAHI is not here: pip install sahi")
    import cv2

    import boxloss

    picture = np.zeros((300, 460, 3), "uint8")
    picture[20:44, 30:61] = picture[200:230, 400:450] = (0, 0, 255)  # OpenCV's order
    cv2.imwrite(str(tmp_path / "large.png"), picture)
    monkeypatch.setattr(boxloss, "load_detector", lambda run: ColourDetector(), raising=False)
    main = recipe("sahi_slices", monkeypatch)["main"]
    main("a run", tmp_path, tmp_path / "found.json", side=160)
    results = json.loads((tmp_path / "found.json").read_text())
    assert {one["category_id"] for one in results} == {7}
    assert {one["file_name"] for one in results} == {"large.png"}
    boxes = sorted([round(side) for side in one["bbox"]] for one in results)
    assert boxes == [[30, 20, 31, 24], [400, 200, 50, 30]]


# KerasHub -----------------------------------------------------------------------------------------


def test_batches_have_the_keys_and_units_that_keras_hub_reads(monkeypatch):
    batches = recipe("keras_hub_retinanet", monkeypatch)["for_keras_hub"]
    sample = datasets.load(SAMPLE / "images", SAMPLE / "annotations.json")
    images, truth = next(batches(sample, 4, 128).as_numpy_iterator())
    assert set(truth) == {"boxes", "labels"} and images.shape == (4, 128, 128, 3)
    assert images.max() > 1.5  # 0 to 255
    real = (truth["boxes"] != -1).any(axis=-1)
    assert (truth["boxes"][real][:, 2:] > truth["boxes"][real][:, :2]).all()
    np.testing.assert_array_equal(real, truth["labels"] >= 0)
    assert len(batches(sample, 4, 128)) == 4


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("keras_hub") is None,
    reason="KerasHub is not here: pip install keras-hub",
)
def test_a_retinanet_is_fine_tuned(monkeypatch):
    from test_adapters import retinanet

    made = recipe("keras_hub_retinanet", monkeypatch)
    sample = datasets.load(SAMPLE / "images", SAMPLE / "annotations.json")
    batches = made["for_keras_hub"](sample, 8, 64)
    history = made["fine_tune"](retinanet(num_classes=3), batches, "giou", 3, 1e-3)
    assert history["bbox_regression_loss"][-1] < history["bbox_regression_loss"][0]


# FiftyOne -----------------------------------------------------------------------------------------


def results_of(truth):
    """Every second box a little off, and one where nothing is."""
    found = [
        {**{k: box[k] for k in ("image_id", "category_id")}, "score": 0.9,
         "bbox": [box["bbox"][0] + 2, *box["bbox"][1:]]}
        for box in truth["annotations"][::2]
    ]  # fmt: skip
    return [*found, {"image_id": 1, "category_id": 1, "score": 0.95, "bbox": [60, 90, 20, 30]}]


@pytest.fixture()
def exported(monkeypatch, tmp_path):
    """What the recipe asks of FiftyOne: (from_dir's arguments, add_coco_labels' arguments)."""
    calls = []
    dataset = types.SimpleNamespace()
    fiftyone = types.ModuleType("fiftyone")
    fiftyone.Dataset = types.SimpleNamespace(
        from_dir=lambda **given: calls.append(given) or dataset
    )
    fiftyone.types = types.SimpleNamespace(COCODetectionDataset="coco")
    fiftyone.launch_app = lambda dataset: types.SimpleNamespace(wait=lambda: calls.append("shown"))
    coco = types.ModuleType("fiftyone.utils.coco")
    coco.add_coco_labels = lambda *given, **named: calls.append((given, named))
    utils = types.ModuleType("fiftyone.utils")
    utils.coco = coco
    fiftyone.utils = utils
    for module in (fiftyone, utils, coco):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    truth = json.loads((SAMPLE / "annotations.json").read_text())
    (tmp_path / "found.json").write_text(json.dumps(results_of(truth)))
    recipe("fiftyone_import", monkeypatch)["main"](
        SAMPLE / "annotations.json", tmp_path / "found.json", SAMPLE / "images", tmp_path / "out"
    )
    return truth, calls


def test_fiftyone_gets_a_coco_file_with_numbers_and_the_false_detections(exported):
    truth, (imported, (given, named), shown) = exported
    assert shown == "shown" and imported["extra_attrs"] and imported["include_id"]
    content = json.loads(pathlib.Path(imported["labels_path"]).read_text())
    assert content["categories"] == [
        {"id": c["id"], "name": c["name"]} for c in truth["categories"]
    ]
    assert {image["file_name"] for image in content["images"]} == {
        path.name for path in pathlib.Path(imported["data_path"]).iterdir()
    }
    images = {image["id"] for image in content["images"]}
    assert len(content["annotations"]) == len(truth["annotations"])
    for one, before in zip(
        sorted(content["annotations"], key=lambda one: one["id"]), truth["annotations"], strict=True
    ):
        assert one["bbox"] == before["bbox"] and one["image_id"] in images
        assert one["boxloss_kind"] in ("ok", "miss") and one["iscrowd"] == 0 and one["area"] > 0
    moved = [one for one in content["annotations"] if one["boxloss_kind"] == "ok"]
    assert all(one["boxloss_error_x1"] == pytest.approx(2) for one in moved) and len(moved) == 29
    false = json.loads(pathlib.Path(given[2]).read_text())
    assert [one["boxloss_kind"] for one in false] == ["bkg"]
    assert false[0]["bbox"] == [60, 90, 20, 30] and false[0]["score"] == 0.95
    assert given[3] == {c["id"]: c["name"] for c in truth["categories"]}
    assert named["coco_id_field"] == "coco_id"
