"""The example of a grid search in a real Jupyter kernel, with its progress bar."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "plot_grid_search_losses.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def notebook():
    """Return the example as a notebook, after running all its cells in a new kernel."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    # As the gallery divides it: a cell begins at "# %%", its comment is text.
    blocks = EXAMPLE.read_text().split("\n# %%\n")
    code = [re.sub(r"\A(#.*\n)+", "", block) for block in blocks]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in code]
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment.pop("MPLBACKEND", None)  # figures appear under their cell
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(env=environment)
    return notebook


def test_searches_and_draws(notebook):
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "best: {'loss': 'logit_adjusted'" in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


def test_progress_bar_reaches_the_end(notebook):
    for module in ("sklearn.callback", "rich", "ipywidgets"):
        pytest.importorskip(module)
    (widgets,) = notebook.metadata.widgets.values()
    shown = [
        output["data"]["text/plain"]
        for widget in widgets["state"].values()
        for output in widget["state"].get("outputs", [])
    ]
    assert re.search(r"GridSearchCV - fit .*100%", "".join(shown))
