"""Batches for worker processes: those of this process, from any step on, whoever makes them."""

import dataclasses
import importlib.util
import itertools
import pickle

import numpy as np
import pytest

from boxloss.datasets import synthetic, workers
from boxloss.datasets.examples import Examples

STEPS = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.write(tmp_path_factory.mktemp("workers"), 10, seed=4, image_size=48)


def examples_of(dataset):
    return Examples(dataset, 3, 32, augment=True, shuffle=True, seed=5)


def expected_of(dataset, epochs=3):
    examples, found = examples_of(dataset), []
    for examples.epoch in range(epochs):
        found += [examples.batch(examples.positions(index)) for index in range(STEPS)]
    return found


def assert_same(item, batch):
    x, y = workers.as_float(item)
    np.testing.assert_array_equal(x, batch[0])
    assert y.keys() == batch[1].keys()
    for name, value in y.items():
        np.testing.assert_array_equal(value, batch[1][name])


def test_items_are_the_batches_of_all_epochs_from_any_step_on(made):
    examples = examples_of(made)
    examples.epoch = 1
    own = workers.WorkerExamples.of(examples, 2)
    source = pickle.loads(pickle.dumps(workers.Source(own, STEPS, 2, workers.Share())))
    expected = expected_of(made)
    for number in (5, 0, 1, 4):  # in no order, as of several workers
        assert_same(source[number], expected[STEPS + 2 + number])


def test_an_item_carries_what_could_not_be_read_once(made, tmp_path, capsys):
    gone = dataclasses.replace(made.records[0], path=tmp_path / "gone.png")
    dataset = dataclasses.replace(made, records=[gone, *made.records[1:]], strict=True)
    own = workers.WorkerExamples.of(Examples(dataset, 10, 32), 1)
    source = workers.Source(own, 1, 0, workers.Share())
    ((position, problem),) = source[0][2]
    assert position == 0
    assert str(problem) == (
        f"{gone.path}: image must be readable. Received: No such file or directory"
    )
    assert source[1][2] == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "share, expected",
    [
        (workers.Share(), [0, 1, 2, 3, 4, 5, 6]),
        (workers.Share(2), [0, 1, 2, 3, 4, 5]),
        (workers.Share(2, 1, 2), [3, 4, 5]),
        (workers.Share(6, 2, 3), [4, 5]),
    ],
)
def test_a_share_is_what_the_devices_of_a_process_get(share, expected):
    assert share(np.arange(7)).tolist() == expected


def test_without_grain_the_line_says_what_to_install(made):
    if importlib.util.find_spec("grain") is not None:
        pytest.skip("grain is installed")
    with pytest.raises(ValueError) as error:
        workers.iterator(examples_of(made), STEPS, 0, workers.Share(), 2)
    assert str(error.value) == (
        '`workers` must be 0 without grain: pip install "boxloss[workers]". '
        "Received: workers=2, no module named grain"
    )


@pytest.mark.slow(20)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_grain_makes_the_same_batches_in_any_number_of_processes(made, count):
    pytest.importorskip("grain")
    items = workers.iterator(examples_of(made), STEPS, 3, workers.Share(), count)
    for batch in expected_of(made)[3:9]:
        assert_same(next(items), batch)


@pytest.fixture
def in_this_process(monkeypatch):
    """`workers.iterator` without grain: the same items, pickled as between processes."""

    def iterator(batches, steps, first, share, count):
        own = workers.WorkerExamples.of(batches, count)
        source = pickle.loads(pickle.dumps(workers.Source(own, steps, first, share)))
        return (source[number] for number in itertools.count())

    monkeypatch.setattr(workers, "iterator", iterator)


def same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    for name, value in expected[1].items():
        assert found[1][name].dtype == value.dtype
        np.testing.assert_array_equal(found[1][name], value)


@pytest.mark.parametrize("part", ["whole", "rest", "even"])
def test_fit_gets_the_same_batches_in_whatever_order_it_asks(made, in_this_process, part):
    from boxloss import datasets
    from boxloss.training.parts import EvenBatches, RemainingBatches, WorkerBatches

    def part_of():
        batches = datasets.Batches(made, 3, 32, augment=True, shuffle=True, seed=5, cache="none")
        batches.epoch = 1
        if part == "whole":
            return batches
        return RemainingBatches(batches, 2) if part == "rest" else EvenBatches(batches, 0, 3)

    plain, given = part_of(), part_of()
    with WorkerBatches(given, 2) as ahead:
        assert len(ahead) == len(plain)
        for _ in range(1 if part == "rest" else 3):
            # The first one twice, as Keras does, and two threads that change places.
            for index in (i for i in (0, 1, 0, 1, 3, 2) if i < len(plain)):
                same(ahead[index], plain[index])
            ahead.on_epoch_end()
            plain.on_epoch_end()
        assert not ahead.waiting


def test_what_a_worker_cannot_read_is_reported_where_the_run_is(
    made, in_this_process, tmp_path, capsys
):
    from boxloss import datasets
    from boxloss.training.parts import WorkerBatches

    gone = dataclasses.replace(made.records[0], path=tmp_path / "gone.png")
    for strict in (False, True):
        dataset = dataclasses.replace(made, records=[gone, *made.records[1:]], strict=strict)
        batches = datasets.Batches(dataset, 10, 32, cache="none")
        with WorkerBatches(batches, 1) as ahead:
            if strict:
                with pytest.raises(ValueError, match="gone.png: image must be readable"):
                    ahead[0]
                assert "gone.png" in str(batches.stopped_by)
            else:
                ahead[0]
                assert [str(tmp_path / "gone.png")] == [p.path for p in batches.unreadable]
                assert "gone.png" in capsys.readouterr().err
