"""Every notebook runs from its first cell to its last."""

import pathlib

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def run(path):
    """The notebook with its new output."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) <= 20
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(path.parents[1])}}
    ).execute()
    return notebook


@pytest.mark.slow(50)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.delenv("BOXLOSS_BCCD", raising=False)  # then it draws its pictures
    run(path)


@pytest.mark.slow(30)
def test_a_notebook_reads_real_pictures(bccd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("BOXLOSS_BCCD", str(bccd))
    (path,) = (path for path in NOTEBOOKS if path.stem == "4_read_the_errors")
    texts = [
        output.get("text", "") for cell in run(path).cells for output in cell.get("outputs", [])
    ]
    assert any("AP50 0.84" in text and "in 87 images" in text for text in texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_its_output(path):
    nbformat = pytest.importorskip("nbformat")
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert any(cell.outputs for cell in cells)
    assert not [o for c in cells for o in c.outputs if o.output_type == "error"]
    assert path.stat().st_size < 2**20
