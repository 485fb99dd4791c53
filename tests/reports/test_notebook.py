"""A notebook, run by a real kernel: from two arrays of predictions to a verdict, a chart and a JSON file."""

import json

import numpy as np
import pytest

CELLS = [
    """from cifarcore import Run, compare
import numpy as np
data = np.load("predictions.npz")
about = dict(labels=data["labels"], class_names=["cat", "dog", "frog"], sample_ids=range(300))
a, b = (Run.from_predictions(data[name], **about, kind="logits", model=name) for name in ("small", "large"))""",
    """result = compare(a, b)
result.to_json("result.json")
result""",
]


def test_from_two_arrays_to_a_verdict_a_chart_and_a_file(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e '.[test]'")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install -e '.[test]'")
    labels = np.arange(300) % 3
    noise = np.random.default_rng(0).standard_normal((2, 300, 3))
    small, large = np.eye(3)[labels] * np.array([1, 4])[:, None, None] + noise
    np.savez(tmp_path / "predictions.npz", labels=labels, small=small, large=large)

    assert sum(len(cell.splitlines()) for cell in CELLS) < 10
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()

    accuracies = [np.mean(scores.astype(np.float16).argmax(axis=1) == labels) for scores in (small, large)]
    (shown,) = (output["data"] for output in notebook.cells[1]["outputs"])
    for kind in ("text/html", "text/plain"):
        assert "large beats small by" in shown[kind]
        assert all(f"{accuracy:.4f}" in shown[kind] for accuracy in accuracies)
    assert '<img src="data:image/svg+xml;base64,' in shown["text/html"]
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["better"] == "B"
    assert [written["metrics"][0][side] for side in "ab"] == pytest.approx(accuracies)
