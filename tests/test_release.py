"""What a release says of itself is true: README's line of facts, the workflow, the citation."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def text(name):
    return (ROOT / name).read_text("utf-8")


def test_the_facts_under_the_banner_are_those_of_the_package():
    facts = next(line for line in text("README.md").splitlines() if " · " in line)
    project = text("pyproject.toml")
    versions = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert f"Python {versions[0]} to {versions[-1]}" in facts
    assert re.search(r'requires-python = ">=(.*)"', project)[1] == versions[0]
    assert facts.startswith("MIT licence") and text("LICENSE").startswith("MIT License")
    for name in re.search(r"· ([^·]*) through Keras 3", facts)[1].replace(" and", ",").split(", "):
        assert re.search(rf'^\w+ = \["{name.lower().replace("py", "")}"', project, re.MULTILINE)
    addons = re.search(r"Addons on TensorFlow ([\d.]+)", facts)[1]
    assert f'"tensorflow=={addons}' in project


def test_the_workflow_runs_targets_of_the_makefile_and_says_that_it_never_ran():
    workflow, targets = text(".github/workflows/test.yml"), text("Makefile")
    called = re.findall(r"run: make ([\w-]+)", workflow)
    assert [name for name in called if not re.search(rf"^{name}:", targets, re.MULTILINE)] == []
    run = re.search(r"^for target in (.*); do$", text(".ci/run"), re.MULTILINE)[1].split()
    assert set(run) == set(called)
    assert "was never run" in workflow.split("name:")[0]
    assert all(f"{system}-latest" in workflow for system in ("ubuntu", "macos", "windows"))


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda p: p.name)
def test_a_file_of_the_code_host_is_yaml(path):
    yaml = pytest.importorskip("yaml")
    read = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(read, dict)
    for field in read.get("body", []):
        assert field["type"] in ("input", "textarea") and field["attributes"]["label"]


def test_the_changelog_begins_with_this_version_and_is_dated_as_the_citation():
    newest = re.search(r"^## (\S+) \((.*)\)$", text("CHANGELOG.md"), re.MULTILINE)
    citation = dict(re.findall(r"^([\w-]+): (.*)$", text("CITATION.cff"), re.MULTILINE))
    assert newest.groups() == (citation["version"], citation["date-released"])
