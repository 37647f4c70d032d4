"""The wheel and the sdist in empty environments of the oldest and the newest Python here."""

import functools
import glob
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from test_readme import blocks_of

import boxloss

ROOT = pathlib.Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
README = (ROOT / "README.md").read_text("utf-8")
SUPPORTED = [(3, minor) for minor in (10, 11, 12, 13)]
UV = shutil.which(
    "uv", path=f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
needs_uv = pytest.mark.skipif(UV is None, reason="uv builds and installs; it is not here")


def run(*words, **arguments):
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, **arguments
    )
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(autouse=True)
def no_other_boxloss(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)


@functools.cache
def pythons():
    """{(3, minor): interpreter} of the supported versions on this machine."""
    found = {}
    for major, minor in SUPPORTED:
        name = f"python{major}.{minor}"
        root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
        beside = glob.glob(f"{root}/versions/{major}.{minor}.*/bin/{name}")
        for python in filter(None, [*beside, shutil.which(name), sys.executable]):
            code = "import sys, venv; print(tuple(sys.version_info[:2]))"
            done = subprocess.run([python, "-c", code], capture_output=True, text=True)
            if done.stdout.strip() == str((major, minor)):
                found[major, minor] = python
                break
    return found


def ends():
    """The oldest and the newest, which may be one."""
    return sorted({min(pythons()), max(pythons())})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, sdist); uv makes the wheel out of the sdist, which is so seen to be complete."""
    out = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", out, ROOT)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def environment(folder, python, *packages):
    """The interpreter of a new environment that holds `packages`."""
    run(UV, "venv", "--quiet", "--python", python, folder)
    made = folder / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", made, "-c", CONSTRAINTS, *packages)
    return made


def test_one_version_is_named_everywhere():
    texts = {name: (ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "CITATION.cff")}
    assert re.search(r'^version = "(.*)"$', texts["pyproject.toml"], re.M)[1] == boxloss.__version__
    assert re.search(r"^version: (.*)$", texts["CITATION.cff"], re.M)[1] == boxloss.__version__
    assert f"\n## {boxloss.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@needs_uv
@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built):
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as file:
        sizes = {item.filename: item.file_size for item in file.infolist()}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "boxloss").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in sizes if not name.startswith("boxloss-")} == package
    assert "boxloss/py.typed" in sizes and "boxloss/report/page/assets/template.html" in sizes
    assert max(sizes.values()) < 2**20
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    needed = {"tests/test_wheel.py", "docs/losses.md", "docs/site/mkdocs.yml", "Makefile"}
    needed |= {"README.md", "CHANGELOG.md", "SECURITY.md", "CITATION.cff", "LICENSE"}
    needed |= {"scripts/examples/keras_fit.py", "notebooks/4_read_the_errors.ipynb"}
    assert needed <= names
    assert not [name for name in names if name.startswith((".git/", "runs", ".venv", "build"))]


@needs_uv
@pytest.mark.slow
def test_what_is_built_passes_twine(built):
    output = run(UV, "tool", "run", "twine", "check", "--strict", *built).stdout
    assert output.count("PASSED") == 2


@needs_uv
@pytest.mark.slow
@pytest.mark.parametrize("version", ends(), ids=lambda version: ".".join(map(str, version)))
def test_it_works_in_an_empty_environment(built, version, tmp_path):
    python = environment(tmp_path / "env", pythons()[version], f"boxloss[tensorflow] @ {built[0]}")
    command = python.with_name("boxloss")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    away = {"cwd": tmp_path, "env": quiet}  # not in the repository, whose boxloss would be taken
    code, output = blocks_of(ROOT / "README.md")[0]
    assert run(python, "-c", code, **away).stdout == output
    help_text = run(command, "--help", **away).stdout
    assert all(name in help_text for name in ("make-synthetic", "train", "doctor"))
    assert "--annotations" in run(command, "train", "--help", **away).stdout
    output = json.loads(run(command, "doctor", **away).stdout)
    assert output["backend"] == "tensorflow" and output["jobs"]["a loss"] == []
    assert output["python"].startswith(".".join(map(str, version)))
    assert "cv2" in output["jobs"]["train, evaluate, predict"]
    place = run(python, "-c", "import boxloss; print(boxloss.__file__)", **away).stdout
    assert str(tmp_path) in place


def readme_commands():
    """{command: its words} of the README's lines that begin with `boxloss`."""
    lines = re.findall(r"^boxloss (.*)$", README, re.MULTILINE)
    return {shlex.split(line)[0]: shlex.split(line) for line in lines}


def with_files(words, files):
    """The words of a command with other paths; the flags stay."""
    return [files.get(word, word) for word in words]


@needs_uv
@pytest.mark.slow(300)
@pytest.mark.parametrize("version", ends(), ids=lambda version: ".".join(map(str, version)))
def test_the_three_things_of_the_readme_run_in_an_empty_environment(built, version, tmp_path):
    extras = re.search(r'^pip install "(boxloss\[.*\])"$', README, re.MULTILINE)[1]
    python = environment(tmp_path / "env", pythons()[version], f"{extras} @ {built[0]}")
    command = python.with_name("boxloss")
    away = {"cwd": tmp_path, "env": {**os.environ, "KERAS_BACKEND": "tensorflow"}}
    sample = ROOT / "data" / "sample"
    images, annotations = sample / "images", sample / "annotations.json"
    words = with_files(readme_commands()["train"], {"photos/": images, "photos.json": annotations})
    metrics = run(command, *words, "--epochs", "1", "--image-size", "64", "--quiet", **away).stdout
    assert 0 <= json.loads(metrics)["AP50"] <= 1
    assert (tmp_path / "runs/first/explorer/index.html").is_file()
    boxes = json.loads(annotations.read_text("utf-8"))["annotations"][:-1]
    found = [{**box, "score": 0.9} for box in boxes]
    (tmp_path / "predictions.json").write_text(json.dumps(found))
    words = with_files(readme_commands()["explore"], {"photos/": images, "data.yaml": annotations})
    output = run(command, *words, **away)
    assert (tmp_path / "page/index.html").is_file() and output.returncode == 0
    code, output = blocks_of(ROOT / "README.md")[0]
    assert run(python, "-c", code, **away).stdout == output


@needs_uv
@pytest.mark.slow
def test_without_any_backend_it_says_what_to_install(built, tmp_path):
    python = environment(tmp_path / "env", pythons()[max(pythons())], built[1])
    command = python.with_name("boxloss")
    bare = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    assert "doctor" in run(command, "--help", cwd=tmp_path, env=bare).stdout
    done = run(command, "doctor", cwd=tmp_path, env=bare)
    assert json.loads(done.stdout)["backend"] is None
    assert 'pip install "boxloss[tensorflow]"' in done.stderr


OPTIONAL = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.optional-dep")[2]
EXTRAS = re.findall(r"^([\w-]+) = \[", OPTIONAL.partition("\n[")[0], re.MULTILINE)
LOSS = (
    "import numpy, boxloss; print(float(boxloss.get('l1')(*numpy.float32([[[[0, 0, 8, 4]]]] * 2))))"
)
IN_TORCHVISION = "import torchvision_stub; from boxloss.adapters import {0}, torchvision"
SEAMS = IN_TORCHVISION + "; print([use('giou').undo() for use in ({0}.use, torchvision.use)])"
# extra: (its backend, the arguments of the Python that uses it, the versions it is installed on).
# `tensorflow` and `train` are used above. `gpu` is several GB, and PyTorch's builds on the usual
# index are as large: a build for CPUs is there for the versions that PIP_FIND_LINKS has.
USES = {
    "jax": ("jax", ["-c", LOSS], "ends"),
    "torch": ("torch", ["-c", LOSS], "torch"),
    "ultralytics": ("torch", ["-c", SEAMS.format("ultralytics")], "torch"),
    "transformers": ("torch", ["-c", SEAMS.format("transformers")], "torch"),
    "addons": ("tensorflow", [ROOT / "scripts" / "examples" / "addons_fit.py"], "addons"),
    "keras-hub": ("tensorflow", ["-c", "import boxloss.adapters.keras_hub, keras_hub"], "newest"),
    "pretrained": (
        "",
        ["-c", "import boxloss.detector as d; assert d.available_backbones()[0][-5:] == 'lite0'"],
        "ends",
    ),
    "tensorboard": ("", ["-m", "tensorboard.main", "--version"], "ends"),
    "benchmark": ("", ["-c", "import cleanlab.object_detection, matplotlib.figure"], "newest"),
    "workers": ("", ["-c", "import grain; import boxloss.datasets.workers"], "newest"),
    "docs": ("", ["-c", "import latex2mathml.converter, zensical"], "newest"),
    "dev": ("jax", ["-m", "pytest", "-q", ROOT / "tests" / "test_release.py"], "newest"),
}
# Those that say nothing of a version, with PyTorch's own spelling of a build for CPUs.
CPU_BUILDS = {
    tuple(map(int, found.groups())): found[0]
    for folder in os.environ.get("PIP_FIND_LINKS", "").split()
    for found in map(re.compile(r"torch-[\d.]+\+cpu-cp(\d)(\d+)-").match, os.listdir(folder))
    if found
}


def versions_of(extra):
    """Those on which it is installed."""
    wanted = USES.get(extra, (None, None, ""))[2]
    return {
        "ends": ends(),
        "newest": [max(pythons())],
        "torch": [version for version in pythons() if version in CPU_BUILDS],
        "addons": [version for version in pythons() if version <= (3, 11)][:1],
    }.get(wanted, [])


def rows(extras):
    """(version, extra) as parameters."""
    return pytest.mark.parametrize(
        "version, extra", extras, ids=lambda x: x if isinstance(x, str) else f"{x[0]}.{x[1]}"
    )


@needs_uv
@pytest.mark.slow(30)
@rows([(version, extra) for extra in USES for version in versions_of(extra)])
def test_an_extra_is_installed_and_used(built, version, extra, tmp_path):
    """What is installed comes out of uv's cache when it was installed here before."""
    backend, words, _ = USES[extra]
    python = tmp_path / "env" / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", pythons()[version], tmp_path / "env")
    wanted = [f"boxloss[{extra}] @ {built[0]}"]
    if backend == "torch":
        build = CPU_BUILDS[version].split("-")[1]
        wanted += [f"torch=={build}", "--find-links", os.environ["PIP_FIND_LINKS"]]
    run(UV, "pip", "install", "--quiet", "--python", python, *wanted)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend, "YOLO_OFFLINE": "true"}
    quiet |= {"YOLO_CONFIG_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    stubs = {"PYTHONPATH": str(ROOT / "tests")} if backend == "torch" else {}
    run(python, *words, cwd=tmp_path, env={**os.environ, **quiet, **stubs})
    place = "import importlib.util as u; print(u.find_spec('boxloss').origin)"
    assert str(tmp_path) in run(python, "-c", place, cwd=tmp_path).stdout


@needs_uv
@pytest.mark.slow
@rows(
    [
        (version, extra)
        for extra in EXTRAS
        for version in (pythons() if extra == "addons" else ends())
        # TensorFlow Addons ends with Python 3.11.
        if version not in versions_of(extra) and (extra != "addons" or version <= (3, 11))
    ]
)
def test_an_extra_resolves(built, version, extra, tmp_path):
    run(UV, "venv", "--quiet", "--python", pythons()[version], tmp_path / "env")
    wanted = f"boxloss[{extra}] @ {built[0]}"
    output = run(
        UV, "pip", "install", "--dry-run", "--python", tmp_path / "env" / "bin" / "python", wanted
    ).stderr
    if extra == "addons":
        assert "tensorflow==2.15.1" in output and "keras==2.15.0" in output


def test_every_extra_is_installed_somewhere_or_has_a_reason_not_to_be():
    assert set(EXTRAS) - set(USES) == {"tensorflow", "train", "gpu"}
