"""The notebooks run, with small numbers in place of those in their cell of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT

SMALL = {
    "2d": "n_frames, size_px = 30, 40",
    "3d": "n_frames, steps = 25, 60",
    "training": "steps, batch_size = 4, 2",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_notebook_runs(name: str, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)
    (place,) = [n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(SMALL[name]))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()


def test_notebooks_show_their_results() -> None:
    nbformat = pytest.importorskip("nbformat")
    for name in SMALL:
        notebook = nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)
        shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert any("image/png" in output.get("data", {}) for output in shown) or name == "training"
        assert not [output for output in shown if output.output_type == "error"]


def test_the_notebook_for_colab_is_python() -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "colab.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(cell.source, "colab.ipynb", "exec")
