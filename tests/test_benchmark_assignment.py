"""`scripts/benchmarks/assignment.py` on few boxes, and without its peer.

With BOXLOSS_ULTRALYTICS_PYTHON, an interpreter that has Ultralytics, its assigner must agree.
"""

import json
import os

import assignment as benchmark
import numpy as np
import pytest

SMALL = ["--images", "2", "--boxes", "12", "--size", "160", "--classes", "4", "--rounds", "2"]


@pytest.mark.parametrize(
    "python, reason",
    [
        ("no/such/python", "FileNotFoundError: No such file or directory"),
        ("false", "no message"),
    ],
)
def test_an_absent_peer_is_named_with_the_reason(python, reason, capsys):
    assert benchmark.main([*SMALL, "--ultralytics-python", python]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["absent"] == {"ultralytics": reason}
    assert printed["boxloss_ms"] > 0
    assert not {"ultralytics_ms", "ratio", "agreement"} & printed.keys()


def test_no_two_numbers_of_the_example_tie():
    inputs = benchmark.example(2, 12, 160, 4)
    assert inputs["points"].shape == (525, 2)
    assert (inputs["true_boxes"][:, 9:] == -1).all() and (inputs["true_boxes"][:, :9] >= -99).all()
    for scores in inputs["scores"]:
        assert len(np.unique(scores)) > 0.99 * scores.size


def test_differences_are_counted():
    inputs = benchmark.example(1, 4, 160, 4)
    index = np.full((1, 525), -1)
    index[0, :5] = 2
    quality = np.zeros((1, 525), "float32")
    ours = {"index": index, "quality": quality}
    theirs = {"index": index.copy(), "quality": quality.copy()}
    theirs["index"][0, 0] = 1
    theirs["quality"][0, 1] = 0.25
    theirs["quality"][0, 9] = 0.5  # not assigned: no matter
    found = benchmark.compare(inputs, ours, theirs)
    assert found["locations"] == 525 and found["assigned"] == 5
    assert found["different"] == 1 and found["quality_gap"] == 0.25
    assert found["ties"] + found["unchosen"] + found["unexplained"] == 1


@pytest.mark.skipif(
    "BOXLOSS_ULTRALYTICS_PYTHON" not in os.environ, reason="needs BOXLOSS_ULTRALYTICS_PYTHON"
)
def test_locations_without_ties_agree_with_ultralytics(capsys):
    python = os.environ["BOXLOSS_ULTRALYTICS_PYTHON"]
    sizes = ["--images", "3", "--boxes", "40", "--size", "320", "--rounds", "1"]
    assert benchmark.main([*sizes, "--ultralytics-python", python]) == 0
    agreement = json.loads(capsys.readouterr().out)["agreement"]
    assert agreement["assigned"] > 300
    assert agreement["unexplained"] == 0 and agreement["unchosen"] <= 3
    assert agreement["quality_gap"] < 1e-4
