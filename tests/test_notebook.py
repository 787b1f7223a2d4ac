"""The notebook of `examples/` runs completely, and is committed without outputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NAME = "enroll.ipynb"
# Jupyter runs in its own process, because its warnings would fail the tests.
PROGRAM = """
import sys, nbformat
from nbclient import NotebookClient

path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
nbformat.write(notebook, path)
"""


@pytest.fixture
def cells(tmp_path):
    """Run the notebook, and return its code cells."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("*.ledger*"))
    folder = tmp_path / "examples"
    command = [sys.executable, "-c", PROGRAM, NAME]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    notebook = nbformat.read(folder / NAME, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_the_notebook_makes_three_voiceprints_and_names_the_speakers_of_the_next_recording(cells):
    outputs = [output for cell in cells for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert "It lasts 75.62 s. A voiceprint takes at most 30 s" in printed
    lines = [line for line in printed.splitlines() if line.endswith("by precision-2")]
    assert [line.partition(":")[0] for line in lines] == ["Allison", "Carlo", "June"]
    assert [name for name in ("Allison", "Carlo") if f"{name}: certain." not in printed] == []
    turns = [line.split()[7] for line in printed.splitlines() if line.startswith("SPEAKER ")]
    assert list(dict.fromkeys(turns)) == ["Allison", "Carlo"]
    pictures = [name for output in outputs for name in output.get("data", {}) if name in {"image/png", "text/html"}]
    assert pictures == ["image/png", "text/html"]
    assert [output for output in outputs if output.get("name") == "stderr"] == []


def test_the_notebook_is_committed_without_outputs():
    cells = json.loads((EXAMPLES / NAME).read_text("utf-8"))["cells"]
    outputs = [(cell["outputs"], cell["execution_count"]) for cell in cells if cell["cell_type"] == "code"]
    assert outputs == [([], None)] * len(outputs) != []
