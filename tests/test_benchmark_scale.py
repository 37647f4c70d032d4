"""`scripts/benchmarks/scale.py` and `loader.py` on small sets: what is written, no times."""

import json

import loader
import scale

from boxloss import datasets, evaluation


def test_a_large_set_is_a_whole_data_set_with_detections_of_its_boxes(tmp_path):
    scale.write(tmp_path, 20, 90, 200)
    read = datasets.load(tmp_path / "images", tmp_path / "annotations.json", strict=True)
    assert (len(read), sum(map(len, read.records)), len(read.class_names)) == (20, 90, 20)
    truth = evaluation.Truth.of(read)
    found = evaluation.Detections.of(json.loads((tmp_path / "detections.json").read_text()), truth)
    assert len(found) == 200
    assert 0.1 < evaluation.coco_metrics(truth, found)["AP50"] < 0.95


def test_the_files_of_the_loader_are_links_to_few(tmp_path):
    read = loader.write(tmp_path, 40, 64)
    assert len(read) == 40 and not read.problems
    assert len({record.path.stat().st_ino for record in read.records}) == loader.FILES
