"""More than two models: the table's numbers are those of a plain computation and of comparing each with the best."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run
from scipy.special import softmax
from sklearn.metrics import f1_score, roc_auc_score
from streamlit.testing.v1 import AppTest

from cifarcore.evidence import comparison, ranking
from cifarcore.runs.run import save_run

GROUPS = {
    "cnn": [made_run(accuracy=0.55, seed=seed) for seed in (0, 1, 2)],
    "resnet18": [made_run(model="resnet18", accuracy=0.7)],
    "vit": [made_run(model="vit", accuracy=0.69)],
    "mlp": [made_run(model="mlp", accuracy=0.3, seed=seed) for seed in (0, 1)],
}


@pytest.fixture(scope="module")
def ranked():
    found = {name: ranking.scores(runs) for name, runs in GROUPS.items()}
    best = ranking.best_of(found)
    return ranking.table(found, {name: ranking.against(GROUPS[best], GROUPS[name]) for name in found if name != best})


def test_numbers_of_each_model(ranked):
    assert ranked["model"].tolist() == ["resnet18", "vit", "cnn", "mlp"]
    for row in ranked.itertuples():
        runs = GROUPS[row.model]
        values = {
            "accuracy": [np.mean(run.logits.argmax(1) == run.labels) for run in runs],
            "macro_f1": [f1_score(run.labels, run.logits.argmax(1), average="macro") for run in runs],
            "macro_auc": [
                roc_auc_score(run.labels, softmax(run.logits.astype(float), axis=1), multi_class="ovr") for run in runs
            ],
        }
        assert row.seeds == len(runs)
        for name, of_seeds in values.items():
            assert getattr(row, name) == pytest.approx(np.mean(of_seeds), abs=1e-6)
            spread = np.std(of_seeds, ddof=1) if len(runs) > 1 else np.nan
            assert getattr(row, f"std_{name}") == pytest.approx(spread, abs=1e-6, nan_ok=True)


def test_differences_are_those_of_the_comparison_with_the_best(ranked):
    words = {"A": ranking.WORSE, "": ranking.UNSURE}
    for row in ranked.iloc[1:].itertuples():
        result = comparison.compare(GROUPS["resnet18"], GROUPS[row.model])
        expected = result.metrics.loc["accuracy"]
        for name in ("difference", "low", "high", "p"):
            assert getattr(row, name) == pytest.approx(expected[name])
        assert row.verdict == words[result.better]
    assert ranked["verdict"].tolist() == [ranking.BEST, ranking.UNSURE, ranking.WORSE, ranking.WORSE]
    assert ranked.iloc[0][["difference", "low", "high", "p"]].isna().all()


def test_only_runs_of_the_same_images_and_classes_are_ranked():
    run = made_run()
    order = np.random.default_rng(0).permutation(run.n_images)
    assert ranking.on_images_of(run, [made_run(seed=1), made_run(model="vit").take(order)])
    assert not ranking.on_images_of(run, [made_run().take(np.arange(400))])
    assert not ranking.on_images_of(run, [made_run(n_images=400)])
    assert not ranking.on_images_of(run, [replace(run, class_names=np.array([f"thing {i}" for i in range(10)]))])


def show(root):
    from pathlib import Path

    from cifarcore.app.pages import overview
    from cifarcore.app.parts import layout, sidebar

    layout.page_frame(overview.page, sidebar.choose(Path(root)))


@pytest.fixture
def folder(tmp_path, own_place):
    runs = tmp_path / "checkpoints"
    for name, seeds in GROUPS.items():
        for run in seeds:
            save_run(run, runs / f"{name}-made-{run.meta['seed']}.npz")
    save_run(made_run(n_images=400, model="other"), runs / "imported" / "others.npz")
    return runs


def app_of(folder, opened=True):
    app = AppTest.from_function(show, kwargs={"root": str(folder.parent)}, default_timeout=600)
    app.session_state["ranking-open"] = opened
    app.run()
    assert not app.exception, app.exception
    return app


def tables(app) -> list[pd.DataFrame]:
    return [one.value for one in app.dataframe if "Against the best" in one.value]


def test_the_page_ranks_when_it_is_opened(folder, ranked):
    assert not tables(app_of(folder, opened=False))
    app = app_of(folder)
    (table,) = tables(app)
    assert table["Model"].tolist() == [f"{name}-made" for name in ranked["model"]]
    cnn = ranked.set_index("model").loc["cnn"]
    shown = table.set_index("Model").loc["cnn-made"]
    assert shown["Accuracy"] == f"{cnn['accuracy']:.4f} ± {cnn['std_accuracy']:.4f}" and shown["Seeds"] == "3"
    assert shown["Accuracy − best"] == f"{cnn['difference']:.4f}".replace("-", "−")
    assert any("differ or two of their seeds are one run: 1" in one.value for one in app.caption)
    assert [box.label for box in app.expander if "ranked" in box.label] == [f"All {len(GROUPS)} models ranked"]


def test_all_pairs_are_compared_when_asked_for(folder):
    from cifarcore.evidence import groups

    app = app_of(folder)
    assert not [one for one in app.dataframe if "p (Holm)" in one.value]
    app.toggle(key="all-pairs").set_value(True).run()
    assert not app.exception, app.exception
    (table,) = [one.value for one in app.dataframe if "p (Holm)" in one.value]
    expected = groups.all_pairs(GROUPS)
    assert len(table) == 6 and (table["Significant"] == "yes").sum() == expected["significant"].sum()
    assert any("Holm" in one.value for one in app.caption)


def test_two_models_need_no_ranking(folder):
    for path in (*folder.glob("mlp*"), *folder.glob("vit*"), *folder.rglob("others.npz")):
        path.unlink()
    assert not tables(app_of(folder))


def test_two_rows_become_a_and_b(folder, monkeypatch):
    from cifarcore.app.catalog import ALL_SEEDS
    from cifarcore.app.parts import ranking as page

    state = {"ranking": {"selection": {"rows": [3, 1]}}, "ranking-models": list("wxyz"), "A": "w", "seedA": "seed 0"}
    monkeypatch.setattr(page.st, "session_state", state)
    page._choose()
    assert (state["A"], state["B"]) == ("x", "z") and state["seedA"] == state["seedB"] == ALL_SEEDS
    state["ranking"]["selection"]["rows"] = [0]
    page._choose()
    assert (state["A"], state["B"]) == ("x", "z")
