"""How an adapter installs, refuses and restores, on a library that these tests make up."""

import importlib.metadata
import multiprocessing
import subprocess
import sys
import types

import pytest

from boxloss.adapters import seam
from boxloss.adapters.seam import Library, Seam, Use

LIBRARY = Library("madeup", ("1.2", "1.3"), "1.3.7")
FUNCTION = Seam("madeup.loss", "box_iou", ("a", "b"))
METHOD = Seam("madeup.loss", "Criterion.loss_boxes", ("self", "a", "b"))


def make_library(version="1.3.9"):
    """A module with a function, a method and a static method, in `sys.modules`."""
    module = types.ModuleType("madeup.loss")
    code = """
def box_iou(a, b, eps=1e-7, **further): return "own function"
class Criterion:
    def loss_boxes(self, a, b): return "own method"
    @staticmethod
    def weigh(a): return "own static method"
class Heir(Criterion): pass
"""
    exec(code, vars(module))
    sys.modules["madeup"], sys.modules["madeup.loss"] = types.ModuleType("madeup"), module
    return module


@pytest.fixture
def library(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.3.9")
    yield make_library()
    del sys.modules["madeup"], sys.modules["madeup.loss"]
    assert seam._active is None


class Measure:
    def __init__(self, name="ciou", calls=1):
        self.name, self.calls = name, calls


def other(original):
    return lambda *arguments: ("ours", original)


def use(seams=(FUNCTION, METHOD), measure=None, library=LIBRARY):
    return Use(library, dict.fromkeys(seams, other), measure or Measure())


def owned(module):
    """The very objects in their places."""
    places = (module, "box_iou"), (module.Criterion, "loss_boxes"), (module.Criterion, "weigh")
    return [vars(owner)[name] for owner, name in places]


def is_restored(module, before):
    return all(a is b for a, b in zip(owned(module), before, strict=True))


def test_a_loss_is_in_place_until_undo(library):
    before = owned(library)
    static = Seam("madeup.loss", "Criterion.weigh", ("a",))
    used = use((FUNCTION, METHOD, static))
    assert library.box_iou(1, 2) == ("ours", before[0])
    assert library.Heir().loss_boxes(1, 2)[0] == "ours"
    assert not any(a is b for a, b in zip(owned(library), before, strict=True))
    used.undo()
    assert is_restored(library, before)
    assert library.Criterion.weigh(1) == "own static method"
    used.undo()  # a second call does nothing
    assert is_restored(library, before)


def test_a_block_restores_after_an_exception(library):
    before = owned(library)
    with pytest.raises(KeyError, match="from inside"), use():
        assert not is_restored(library, before)
        raise KeyError("from inside")
    assert is_restored(library, before)


def test_a_second_use_is_refused_in_one_line(library):
    before = owned(library)
    with use(measure=Measure("wiou")):
        for own in (LIBRARY, LIBRARY._replace(package="another")):
            with pytest.raises(RuntimeError) as error:
                use(library=own)
            assert str(error.value) == (
                "`use` must be undone before it is called again. "
                "Received: a second use, while 'wiou' is in madeup"
            )
        assert library.box_iou(1, 2)[1] is before[0]  # patched once
    assert is_restored(library, before)
    use().undo()


def test_another_version_is_refused_with_those_that_work(library, monkeypatch):
    before = owned(library)
    for version in ("1.1.9", "1.30.0", "2.0"):
        monkeypatch.setattr(importlib.metadata, "version", lambda package, v=version: v)
        with pytest.raises(ImportError) as error:
            use()
        assert str(error.value) == (
            "`madeup` must be 1.2.*, 1.3.* (tested: 1.3.7), whose box losses boxloss.adapters "
            f"knows. Received: madeup {version}"
        )
    assert is_restored(library, before)


def test_a_package_that_is_not_here_is_refused():
    with pytest.raises(ImportError, match=r"tested: 1.3.7.*Received: no such package$"):
        use(library=LIBRARY._replace(package="boxloss-no-such-package"))


@pytest.mark.parametrize(
    "wrong, received",
    [
        (Seam("madeup.loss", "box_iou", ("b", "a")), r"box_iou\(a, b, eps, further\)$"),
        (Seam("madeup.loss", "box_iou", ("a",)), r"box_iou\(a, b, eps, further\)$"),
        (Seam("madeup.loss", "gone", ("a",)), "gone cannot be found .*no attribute 'gone'"),
        (Seam("madeup.away", "box_iou", ("a",)), "away.box_iou cannot be found"),
    ],
)
def test_a_seam_that_is_not_as_known_is_refused(library, wrong, received):
    before = owned(library)
    with pytest.raises(ImportError, match=rf"1.2.\*, 1.3.\* .*Received: .*{received}") as error:
        use((METHOD, wrong))
    assert "\n" not in str(error.value)
    assert is_restored(library, before)  # the first seam was not touched


def test_a_loss_that_was_never_asked_for_is_reported(library):
    with pytest.warns(UserWarning, match="madeup never asked for the box loss 'ciou'"):
        with use(measure=Measure(calls=0)):
            pass


def test_somebody_elses_replacement_is_reported(library):
    before = owned(library)
    used = use()
    library.box_iou = len
    with pytest.warns(UserWarning, match="madeup.loss.box_iou was replaced by somebody else"):
        used.undo()
    assert is_restored(library, before)


def in_worker(queue):
    importlib.metadata.version = lambda package: "1.2.0"
    module = make_library()
    before = owned(module)
    try:
        with use():
            placed = module.box_iou(1, 2)[0]
            raise KeyError
    except KeyError:
        queue.put((placed, is_restored(module, before)))


def test_a_spawned_worker_has_a_use_of_its_own(library):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with use():
        worker = context.Process(target=in_worker, args=(queue,))
        worker.start()
        assert queue.get(timeout=60) == ("ours", True)
        worker.join(timeout=60)
    assert worker.exitcode == 0


def test_adapters_are_found_by_name_and_import_no_library():
    code = (
        "import sys, boxloss; boxloss.adapters.ultralytics, boxloss.adapters.transformers;"
        "print([m for m in ('keras', 'torch', 'ultralytics', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
