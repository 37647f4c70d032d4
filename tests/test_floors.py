"""The floors of the package: a module imports from lower floors, or along the arrows named here."""

import ast
import importlib
import pathlib
import subprocess
import sys

import keras
import pytest

import boxloss

PACKAGE = pathlib.Path(__file__).parents[1] / "boxloss"

FLOORS = {
    0: "tensors files types _lazy",
    1: "functional coders datasets",
    2: "losses detector assignment",
    3: "evaluation simulation compat adapters metrics",
    4: "training report callbacks",
    5: "audit",
    6: "cli",
    7: "scripts __main__",
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules.split()}
# Arrows within a floor, module by module. The words that an argument takes are written once, as
# types; the checks of floor 0 read them there. The bins of a side are those of its loss. What an
# adapter records is a history of boxes.
ARROWS = {("tensors", "types"), ("coders", "functional"), ("adapters", "evaluation")}


def imported_modules(tree):
    """The names of our own modules, and "scripts", that a file imports anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, module = alias.name.partition(".")
                if package == "scripts":
                    yield package
                elif package == "boxloss" and module:
                    yield module.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            parts = (node.module or "").split(".")
            if parts[0] == "scripts":
                yield parts[0]
            elif parts == ["boxloss"]:
                yield from (alias.name for alias in node.names)
            elif parts[0] == "boxloss":
                yield parts[1]


def wrong_arrows(module, source):
    """Imports of `source`, a file of `module`, that no rule allows."""
    for target in imported_modules(ast.parse(source)):
        if target == module or target not in FLOOR or (module, target) in ARROWS:
            continue
        if FLOOR[target] >= FLOOR[module]:
            yield f"{module} -> {target}"


def files():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if parts != ("__init__.py",):
            yield pytest.param(parts[0].removesuffix(".py"), path, id="/".join(parts))


def test_there_are_eight_floors_and_at_most_three_arrows():
    assert sorted(FLOORS) == list(range(8))
    assert len(ARROWS) <= 3
    # An arrow that nothing uses would allow what nobody wanted.
    used = {
        (module, target)
        for module, path in (parameter.values for parameter in files())
        for target in imported_modules(ast.parse(path.read_text()))
    }
    assert used >= ARROWS


@pytest.mark.parametrize("module, path", files())
def test_a_module_imports_from_lower_floors_only(module, path):
    assert module in FLOOR, f"{module} has no floor yet"
    assert list(wrong_arrows(module, path.read_text())) == []


@pytest.mark.parametrize(
    "module, source, expected",
    [
        ("tensors", "from boxloss import losses", ["tensors -> losses"]),
        ("losses", "from boxloss.metrics import MeanIoU", ["losses -> metrics"]),
        ("metrics", "from boxloss.losses import names", []),
        ("losses", "def f():\n    import boxloss.training", ["losses -> training"]),
        ("assignment", "from boxloss import functional\nfrom boxloss.tensors import ops", []),
        ("report", "from boxloss.training import Options", ["report -> training"]),
        ("callbacks", "import boxloss.training", ["callbacks -> training"]),
        ("audit", "from boxloss import cli, report, training", ["audit -> cli"]),
        # One for each floor, turned round; and the floor above all, of which nothing may know.
        ("files", "from boxloss.datasets import load", ["files -> datasets"]),
        ("coders", "from boxloss.detector import model", ["coders -> detector"]),
        ("detector", "from boxloss import evaluation", ["detector -> evaluation"]),
        ("simulation", "from boxloss.report import drawing", ["simulation -> report"]),
        ("training", "import boxloss.audit", ["training -> audit"]),
        ("audit", "import scripts.benchmarks.losses", ["audit -> scripts"]),
        ("cli", "def f():\n    from scripts import audit", ["cli -> scripts"]),
        ("scripts", "from boxloss import cli, losses, tensors", []),
    ],
)
def test_a_wrong_arrow_is_seen(module, source, expected):
    assert list(wrong_arrows(module, source)) == expected


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("boxloss.tensors.keras2", "boxloss.tensors.float64"):  # of other stacks
            yield name


@pytest.mark.parametrize("name", modules())
def test_every_module_imports(name):
    importlib.import_module(name)


def test_the_package_knows_all_its_modules():
    """A name that the package does not know would load all losses to look for it there."""
    paths = (path for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir())
    present = {path.stem for path in paths if not path.name.startswith("_")}
    assert present == boxloss._MODULES


def test_a_low_floor_can_be_imported_first():
    run("import boxloss.tensors.compiled")


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("old", boxloss._MOVED)
def test_a_module_that_moved_is_found_by_its_old_name_and_is_the_same(old):
    moved = importlib.import_module(f"boxloss.{boxloss._MOVED[old]}")
    assert importlib.import_module(f"boxloss.{old}") is moved is getattr(boxloss, old)
    # The old name leaves no trace in the module: it would reload, or be pickled, as another.
    assert moved.__name__ == moved.__spec__.name == f"boxloss.{boxloss._MOVED[old]}"


def test_importing_boxloss_imports_nothing_heavy():
    heavy = "{'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'cv2', 'matplotlib', 'scipy'}"
    assert run(f"import sys, boxloss; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_a_loss_imports_no_data_and_no_detector():
    code = (
        "import sys, boxloss; boxloss.GIoULoss();"
        "print(sorted(m for m in sys.modules if m.startswith('boxloss.')))"
    )
    loaded = {module.split(".")[1] for module in ast.literal_eval(run(code))}
    assert loaded <= set("functional losses tensors types".split())


def test_a_saved_model_loads_where_boxloss_is_only_imported(tmp_path):
    path = str(tmp_path / "model.keras")
    layers = [keras.layers.Dense(8), keras.layers.Reshape((2, 4))]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("adam", loss=boxloss.CIoULoss(gated=True))
    model.save(path)
    for order in ("boxloss, keras", "keras, boxloss"):
        code = f"import {order}; print(keras.models.load_model({path!r}).loss.gated)"
        assert run(code) == "True", order
