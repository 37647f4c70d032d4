"""`scripts/benchmarks/reading.py` on a small data set: what is written and loaded, no times."""

import json

import reading as benchmark

from boxloss import datasets


def test_a_small_run_prints_one_object(capsys):
    flags = "--images 7 --annotations 30 --categories 5 --rounds 1".split()
    assert benchmark.main(flags) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["images"], printed["annotations"], printed["categories"]) == (7, 30, 5)
    assert printed.keys() >= {"json_and_index_s", "load_s", "ratio"}


def test_what_is_measured_is_a_whole_data_set(tmp_path):
    benchmark.write(tmp_path, 7, 30, 5)
    read = datasets.load(tmp_path / "images", tmp_path / "annotations.json", strict=True)
    assert (len(read), sum(map(len, read.records)), len(read.class_names)) == (7, 30, 5)
