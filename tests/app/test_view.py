"""What a page may show beside the two models chosen."""

from dataclasses import replace

import numpy as np
from made import made_run
from pages import two_models

from cifarcore.app.catalog import find_runs, load_sides
from cifarcore.app.view import View, same_models
from cifarcore.runs.run import save_run


def test_runs_that_name_no_model_are_not_of_one_model(folder):
    (folder / "imported").mkdir()
    for name, one in zip("abc", [*two_models(), made_run(n_images=300)], strict=True):
        save_run(replace(one, meta={"imported": {}, "seed": 0}), folder / "imported" / f"{name}.npz")
    catalog = find_runs(folder)
    a, b, only = load_sides(catalog.groups["imported/a"], catalog.groups["imported/b"], ("a", "b"))
    view = View(a, b, *only[:2], np.arange(10), None, "A and B", "f1", folder.parent)
    assert same_models(view) == ()
