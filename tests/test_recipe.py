"""The default recipe: what is chosen for which data set, that flags win, and what is printed."""

import dataclasses
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from boxloss import cli, datasets, training
from boxloss.cli import settings
from boxloss.datasets import Record, synthetic
from boxloss.files import duration
from boxloss.tensors import ops
from boxloss.training import Options, estimate
from boxloss.training.progress import Progress
from boxloss.training.recipe import one_sided, recommend
from boxloss.training.statistics import DataStatistics

LITE0 = ("efficientnet_lite0",)


def statistics(images=200, side=640, small=0.126, middle=0.16, validation=90, **boxes):
    boxes = boxes or {"cell": 2000}
    return DataStatistics(images, validation, side, small, middle, boxes, boxes)


def chosen(*given, pretrained=(), preset="standard", flags=None, **data):
    return recommend(statistics(*given, **data), preset, flags, pretrained).options


def data_set(sizes, labels=(), ignored=(), names=("a", "b"), side=(200, 100), count=1):
    """Images of `side`, each with square boxes of the given sides."""
    n = len(sizes)
    labels = labels or [0] * n
    corners = np.array([[0, 0, size, size] for size in sizes], "float32").reshape(n, 4)
    flags = np.isin(np.arange(n), ignored)
    records = [
        Record(
            f"{i}.png", None, i, *side, corners, np.array(labels, "int64"), list(range(n)),
            np.prod(corners[:, 2:], axis=1), flags, np.zeros(n, bool), np.zeros(n, bool),
        )
        for i in range(count)
    ]  # fmt: skip
    return datasets.DataSet(records, list(names), [1, 2], None)


# What a data set holds ---------------------------------------------------------------------------


def test_statistics_are_shares_of_the_longer_side_and_leave_ignored_boxes_out():
    found = DataStatistics.of(
        data_set([10, 20, 30, 40, 90], labels=[0, 0, 0, 1, 1], ignored=[4], count=3),
        data_set([50], labels=[1], count=2),
    )
    assert (found.images, found.validation_images, found.side) == (3, 2, 200)
    assert found.boxes == {"a": 9, "b": 3}
    assert found.validation_boxes == {"a": 0, "b": 2}
    sizes = np.repeat([10, 20, 30, 40], 3) / 200
    assert found.small_box == pytest.approx(np.quantile(sizes, 0.25))
    assert found.middle_box == pytest.approx(0.125)


def test_boxes_are_measured_by_the_root_of_their_area():
    record = data_set([10])
    wide = dataclasses.replace(
        record.records[0], boxes=np.array([[0, 0, 80, 20]], "float32"), width=100, height=400
    )
    found = DataStatistics.of(record.subset([wide]), record)
    assert (found.side, found.small_box) == (400, pytest.approx(0.1))


# What is chosen ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "side, small, expected",
    [
        (640, 0.126, 320),  # cells of 80 pixels
        (640, 0.016, 640),  # traffic lights: 16 pixels would need a square of 1,000
        (640, 0.038, 448),
        (640, 0.9, 320),
        (4000, 0.001, 640),
        (128, 0.05, 128),  # no more pixels than the images have
        (150, 0.05, 160),
        (20, 0.5, 32),
        (500, 0.0, 320),  # no box
    ],
)
def test_the_image_size_follows_the_small_boxes(side, small, expected):
    found = chosen(side=side, small=small, middle=small)
    assert found.image_size == expected and not found.image_size % 32


def test_more_images_take_fewer_passes_and_more_steps():
    counts = (1, 10, 100, 200, 800, 5_000, 100_000)
    epochs = [chosen(images).epochs for images in counts]
    assert epochs == sorted(epochs, reverse=True) and epochs[0] > epochs[3] > epochs[4]
    seen = [images * count for images, count in zip(counts, epochs, strict=True)]
    assert seen == sorted(set(seen))
    assert epochs[0] == 200 and epochs[3] == 60 and epochs[-1] == 12


def test_a_large_square_and_pretrained_weights_take_fewer_epochs():
    plain = chosen().epochs
    assert chosen(small=0.016).epochs == plain / 2
    assert chosen(flags={"weights": "a.keras"}).epochs == 0.5 * plain


@pytest.mark.parametrize("preset, factor", [("quick", 0.25), ("standard", 1), ("long", 3)])
def test_a_preset_is_a_multiple_of_the_epochs(preset, factor):
    assert chosen(preset=preset).epochs == factor * chosen().epochs


def test_a_pretrained_backbone_is_taken_where_its_weights_are_on_this_machine():
    recipe = recommend(statistics(), pretrained=LITE0)
    assert (recipe.options.backbone, recipe.options.pretrained) == (*LITE0, "imagenet")
    assert recipe.options.epochs == 0.5 * chosen().epochs
    (line,) = [line for line in recipe.lines() if "--backbone " in line]
    assert line.startswith("  --backbone efficientnet_lite0: ") and "nothing is downloaded" in line


def test_without_pretrained_weights_the_network_is_nano_and_says_what_to_install():
    recipe = recommend(statistics())
    assert (recipe.options.backbone, recipe.options.pretrained) == ("nano", "none")
    (line,) = [line for line in recipe.lines() if "--backbone" in line]
    assert 'pip install "boxloss[pretrained]"' in line


@pytest.mark.parametrize(
    "flags, backbone, pretrained",
    [
        ({"size": "small"}, "small", "none"),
        ({"backbone": "nano"}, "nano", "none"),
        ({"pretrained": "none"}, "nano", "none"),
        ({"weights": "a.keras"}, "nano", "a.keras"),
        ({"backbone": "resnet50"}, "resnet50", "imagenet"),
    ],
)
def test_a_network_that_is_given_is_not_changed(flags, backbone, pretrained):
    recipe = recommend(statistics(), given=flags, pretrained=LITE0)
    assert (recipe.options.backbone, recipe.options.pretrained) == (backbone, pretrained)
    assert not {"size", "backbone", "pretrained", "weights"} & recipe.reasons.keys()
    factor = 1 if pretrained == "none" else 0.5
    assert recipe.options.epochs == factor * chosen().epochs


@pytest.mark.parametrize(
    "flags, stride",
    [
        ({}, 4),
        ({"backbone": "resnet50"}, 4),
        ({"frozen_stride": 8}, 8),
        ({"size": "nano"}, 0),
        ({"backbone": "resnet50", "pretrained": "none"}, 0),
        ({"pretrained": "a.keras"}, 0),  # of nano: it has no backbone of another library
    ],
)
def test_a_pretrained_backbone_is_trained_slowly(flags, stride):
    options = recommend(statistics(), given=flags, pretrained=LITE0).options
    assert options.frozen_stride == stride
    if not stride:
        assert (options.backbone_rate, options.frozen_epochs) == (1, 0)


@pytest.mark.parametrize(
    "flags, expected",
    [
        ({}, ("resnet50", "small", 8)),
        ({"bins": 0}, ("resnet50", "small", 0)),
        ({"backbone": "nano"}, ("nano", "nano", 8)),
        ({"size": "medium"}, ("medium", "medium", 8)),
    ],
)
def test_a_run_that_starts_from_a_detector_has_its_network(flags, expected):
    given = {"pretrained": "runs/first"} | flags
    start = {"backbone": "resnet50", "size": "small", "bins": 8}
    recipe = recommend(statistics(), given=given, pretrained=LITE0, start=start)
    options = recipe.options
    assert (options.backbone, options.size, options.bins) == expected
    assert ("as in the detector" in recipe.reasons.get("backbone", "")) == (
        not flags.keys() - {"bins"}
    )


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="`preset` must be one of 'long', 'quick', 'standard'"):
        recommend(statistics(), "fast")


@pytest.mark.parametrize("epochs, every", [(1, 1), (4, 1), (15, 2), (64, 6), (200, 20)])
def test_a_run_is_evaluated_every_tenth(epochs, every):
    found = chosen(flags={"epochs": epochs})
    assert (found.epochs, found.evaluate_every, found.patience) == (epochs, every, 4)


@pytest.mark.parametrize(
    "names, sided",
    [
        (["car", "person"], []),
        (["turn_left", "car"], ["turn_left"]),
        (["RightHand", "leftover", "bright"], ["RightHand"]),
        (["licence plate"], ["licence plate"]),
        (["text"], ["text"]),
        (["Traffic-Light"], []),
        (list("0123456789"), list("0123456789")),
        (list("0123"), []),  # numbers in place of names
        ([*"abcdefghij", "ball"], list("abcdefghij")),
        ([f"{i}" for i in range(80)], list("0123456789")),
    ],
)
def test_classes_that_a_mirror_changes_are_known_by_their_names(names, sided):
    assert one_sided(names) == sided
    found = chosen(**{name: 50 for name in names})
    assert found.flip == (0.0 if sided else 0.5)


def test_without_augmentation_nothing_is_said_of_flips():
    recipe = recommend(statistics(left=9), given={"augment": False})
    assert "flip" not in recipe.reasons and recipe.options.augment is False


# Flags win ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        {"image_size": 96},
        {"epochs": 7},
        {"bins": 0},
        {"evaluate_every": 3},
        {"patience": 0},
        {"flip": 0.25},
        {"loss": "giou", "batch_size": 3, "seed": 4},
    ],
    ids=lambda flags: next(iter(flags)),
)
def test_what_is_given_wins_and_is_said_to_be_given(flags):
    recipe = recommend(statistics(left=30), given=flags)
    for name, value in flags.items():
        assert getattr(recipe.options, name) == value
        assert name not in recipe.reasons
    (line,) = [line for line in recipe.lines() if line.startswith("  given by you: ")]
    for name, value in flags.items():
        assert f"--{name.replace('_', '-')} {value}" in line


def test_wrong_settings_are_refused_by_name():
    with pytest.raises(ValueError, match="`epochs`"):
        recommend(statistics(), given={"epochs": 0})
    with pytest.raises(ValueError, match="`flip` must be between 0 and 1. Received: flip=2"):
        recommend(statistics(), given={"flip": 2})


def test_the_recipe_changes_no_default_of_the_options():
    untouched = {"optimizer", "batch_size", "learning_rate", "loss", "plain_share", "size"}
    found, default = chosen(), Options()
    assert {name: getattr(found, name) for name in untouched} == {
        name: getattr(default, name) for name in untouched
    }


# What is printed ---------------------------------------------------------------------------------


def test_each_choice_has_a_line_with_its_value_and_reason():
    recipe = recommend(statistics(331, small=0.016, middle=0.034, light=441), "quick")
    lines = recipe.lines()
    assert lines[0].startswith("settings (--preset quick")
    (line,) = [line for line in lines if "--image-size" in line]
    assert line == (
        "  --image-size 640: a quarter of the boxes are smaller than 10 pixels there, half 22; "
        "the images have no more pixels"
    )
    for name in recipe.reasons:
        assert sum(f"--{name.replace('_', '-')} " in line for line in lines) == 1
    # Settings with one reason share a line.
    assert recommend(statistics(), pretrained=LITE0).lines()[3] == (
        "  --backbone-rate 0.25, --frozen-epochs 1, --frozen-stride 4, --frozen-statistics: "
        "the pretrained backbone changes slowly, its first layers never"
    )
    assert not any("given by you" in line for line in lines)


def test_small_validation_sets_and_classes_are_named():
    few = DataStatistics(
        images=40,
        validation_images=9,
        side=640,
        small_box=0.1,
        middle_box=0.1,
        boxes={"car": 300, "bike": 4, "tram": 0},
        validation_boxes={"car": 70, "bike": 2, "tram": 0},
    )
    warnings = recommend(few).warnings
    assert "only 9 validation images" in warnings[0]
    assert warnings[1].endswith("says little: 'tram' 0, 'bike' 2")
    assert warnings[2].endswith("cannot learn these classes: 'tram'")
    assert not recommend(statistics()).warnings


def test_eighty_classes_fill_one_line():
    boxes = {f"class {i}": 3 for i in range(80)}
    (line,) = recommend(statistics(**boxes)).warnings
    assert line.endswith("'class 12' 3 and 75 more") and len(line) < 200


# Time --------------------------------------------------------------------------------------------


def test_the_time_grows_with_steps_pixels_and_evaluations():
    options = Options(epochs=10, evaluate_every=5)
    base = estimate.run_seconds(options, 100, 20, 0.1)
    # 10 passes of 100 images, and 20 validation images at epochs 5 and 10 and at the end.
    start = estimate.START_SECONDS
    training_part = 10 * 100 * 0.1 * estimate.STEP_PER_FORWARD
    evaluation_part = 3 * 20 * 0.1 * estimate.EVALUATION_PER_FORWARD
    assert base == pytest.approx(start + training_part + evaluation_part)
    assert estimate.run_seconds(options, 200, 20, 0.1) - base == pytest.approx(training_part)


@pytest.mark.parametrize(
    "seconds, expected",
    [
        (3, "about 10 seconds"),
        (44, "about 40 seconds"),
        (89, "about 90 seconds"),
        (100, "about 2 minutes"),
        (1234, "about 21 minutes"),
        (12_600, "about 3.5 hours"),
    ],
)
def test_times_are_rounded_for_people(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize("few, many, expected", [(4, 10, 1.0), (9.5, 10, 1 / 6)])
def test_a_forward_pass_is_what_more_images_take_more(monkeypatch, few, many, expected):
    # Warm-up, then two passes: the best one counts.
    ends = [50, few, few + 2, 60, many + 1, many]
    ticks = iter(np.ravel([(100 * i, 100 * i + end) for i, end in enumerate(ends)]))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    shapes = []

    def detector(pixels, training):
        shapes.append(tuple(pixels.shape))
        return {"logits": pixels}

    assert estimate.forward_seconds(detector, 64) == pytest.approx(expected)
    assert shapes == [(2, 64, 64, 3)] * 3 + [(8, 64, 64, 3)] * 3


@pytest.mark.parametrize(
    "rows, epochs, expected",
    [
        # 100 s to compile; then 3 epochs in 90 s, 6 are left.
        ([(0, 100), (1, 130), (2, 160)], 4, "; about 3 minutes left"),
        ([(0, 100)], 2, ""),
        ([(i, 100) for i in range(9)], 10, ""),
    ],
)
def test_the_time_that_is_left_is_that_of_the_epochs_without_the_first(rows, epochs, expected):
    progress = SimpleNamespace(
        history=[{"epoch": epoch, "wall_seconds": wall} for epoch, wall in rows],
        options=Options(epochs=10),
        clock=SimpleNamespace(read=lambda: (0.0, 190.0)),
    )
    assert Progress._time_left(progress, epochs) == expected


# The command -------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """Trainings that the command asked for: (Options, keywords); none is run."""
    found = []

    def train(train_set, validation_set, options, out, **keywords):
        found.append(options)
        raise training.Interrupted

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(estimate, "forward_seconds", lambda detector, side: 0.5)
    monkeypatch.setattr(settings, "available_backbones", list)
    return found


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    synthetic.write(folder, 10, seed=3, image_size=64)
    return ["--images", str(folder / "images"), "--annotations", str(folder / "annotations.json")]


def call(*words):
    with pytest.raises(SystemExit):
        cli.main(["train", *map(str, words)])


def test_the_command_takes_a_backbone_whose_weights_are_here(shapes, tmp_path, calls, monkeypatch):
    monkeypatch.setattr(settings, "available_backbones", lambda: list(LITE0))
    call(*shapes, "--quiet", "--out", tmp_path / "pretrained")
    call(*shapes, "--quiet", "--out", tmp_path / "nano", "--size", "nano")
    assert [options.backbone for options in calls] == ["efficientnet_lite0", "nano"]
    assert [options.frozen_statistics for options in calls] == [True, False]
    call(*shapes, "--quiet", "--out", tmp_path / "free", "--no-frozen-statistics")
    assert (calls[-1].backbone_rate, calls[-1].frozen_statistics) == (0.25, False)


def test_the_command_reads_the_network_that_it_starts_from(shapes, tmp_path, calls, monkeypatch):
    network = SimpleNamespace(backbone="small", size="medium", bins=4)
    monkeypatch.setattr("boxloss.detector.load_detector", {"runs/first": network}.__getitem__)
    words = (*shapes, "--quiet", "--out")
    for i, start in enumerate(("runs/first", "weights.h5", "none")):
        call(*words, tmp_path / str(i), "--pretrained", start)
    found = [(options.backbone, options.size, options.bins) for options in calls]
    assert found == [("small", "medium", 4), ("nano", "nano", 16), ("nano", "nano", 16)]


def test_paths_alone_train_by_the_recipe_and_say_so(shapes, tmp_path, calls, capsys):
    call(*shapes, "--out", tmp_path)
    (options,) = calls
    assert (options.image_size, options.epochs, options.bins) == (64, 200, 16)
    stderr = capsys.readouterr().err
    assert "--image-size 64: " in stderr and "validation images: with other ones" in stderr
    # 9 training images and 1 that validates, half a second for a forward pass of each.
    minutes = re.search(r"time: about (\d+) minutes on this machine", stderr)
    expected = estimate.run_seconds(options, 9, 1, 0.5) / 60
    assert int(minutes.group(1)) == round(expected)


@pytest.mark.parametrize("backend, devices", [("jax", 1), ("tensorflow", 2)])
def test_no_time_is_reported_where_measuring_it_would_mislead(
    monkeypatch, capsys, backend, devices
):
    monkeypatch.setattr(ops, "backend", lambda: backend)
    settings.show_time(Options(devices=devices), data_set([9]), data_set([9]))
    assert capsys.readouterr().err == ""


def test_flags_of_the_command_win(shapes, tmp_path, calls, capsys):
    words = ("--epochs", 3, "--image-size", 96, "--no-augment", "--loss", "giou", "--quiet")
    call(*shapes, *words, "--out", tmp_path, "--preset", "long")
    (options,) = calls
    assert (options.epochs, options.image_size, options.loss) == (3, 96, "giou")
    assert options.augment is False and options.evaluate_every == 1
    stderr = capsys.readouterr().err
    assert "  given by you: " in stderr and "time:" not in stderr
    assert "--epochs 3" in stderr and "--no-augment" in stderr


def test_the_preset_of_the_command_changes_the_epochs(shapes, tmp_path, calls, capsys):
    call(*shapes, "--quiet", "--preset", "quick", "--out", tmp_path)
    assert calls[0].epochs == 50
    assert "settings (--preset quick;" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_settings(shapes, tmp_path, calls, capsys):
    before = Options(epochs=5, image_size=32, seed=7, bins=0).as_dict()
    (tmp_path / "config.json").write_text(json.dumps(before))
    (tmp_path / "checkpoint.npz").write_bytes(b"")
    call(*shapes, "--epochs", 9, "--out", tmp_path, "--resume", "--overwrite")
    assert calls == [Options(epochs=9, image_size=32, seed=7, bins=0)]
    assert "settings (" not in capsys.readouterr().err


def test_wrong_flags_are_reported_before_anything_is_read(tmp_path, capsys):
    words = ("train", "--images", "none", "--annotations", "none.json", "--out", str(tmp_path))
    assert cli.main([*words, "--flip", "3"]) == 2
    assert "`flip` must be between 0 and 1. Received: flip=3.0" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "audit"])
def test_a_flag_without_a_default_takes_text(command):
    module = cli.module_of(command)
    words = ["--annotations", "a.json"] if command == "train" else []
    args = cli.parser_of(command, module).parse_args([*words, "--out", "x", "--size", "small"])
    assert args.size == "small"
