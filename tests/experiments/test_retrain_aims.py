"""The benchmark of short retrainings holds what they gain against the aims, the parent and the recipe of before."""

from dataclasses import replace

import numpy as np
import pytest
from made import TINY, made_run, trained_run
from sklearn.metrics import f1_score

from cifarcore.config import RetrainConfig
from cifarcore.data.synthetic import make_synthetic
from cifarcore.experiments import bench_retrain
from cifarcore.experiments.retrain_aims import aims_table, learn_as_before
from cifarcore.reports.headings import FOCUS, OVERALL
from cifarcore.reports.tables.retrained_seeds import seeds_table
from cifarcore.runs.run import load_run
from cifarcore.text import interval
from cifarcore.training import hardware

CLASSES = (1, 4, 7)


def made(accuracy, seed=0, model="cnn"):
    return made_run(n_images=2000, accuracy=accuracy, seed=seed, model=model)


def improved(parent, share, count=0):
    """`parent`, with so large a share of its errors on CLASSES now correct, and `count` others newly wrong."""
    logits, rows = parent.logits.copy(), np.flatnonzero(~parent.correct & np.isin(parent.labels, CLASSES))
    rows = rows[: round(share * len(rows))]
    logits[rows, parent.labels[rows]] = logits[rows].max(axis=1) + 1
    lost = np.flatnonzero(parent.correct & ~np.isin(parent.labels, CLASSES))[:count]
    logits[lost, parent.labels[lost]] = -50
    return replace(parent, logits=logits, digest=f"{parent.digest} {share} {count}")


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
@pytest.mark.parametrize("seconds", [60.0, 20.0])
def test_each_aim_is_met_or_missed_for_both_models(model, seconds):
    parent = made(0.6, model=model)
    aim = {"cnn": 0.03, "resnet18": 0.02}[model] * {60.0: 1.0, 20.0: 0.5}[seconds]
    gained = [(share, f1(improved(parent, share)) - f1(parent)) for share in np.arange(0, 0.3, 0.02)]
    enough, little = (max(each for each in gained if (each[1] >= aim) == at_least) for at_least in (True, False))
    for (share, gain), outcome in ((enough, "met"), (little, "missed")):
        table = aims_table(parent, [improved(parent, share)], [improved(parent, 0.5, 100)], CLASSES, seconds)
        row = table.set_index("measure").loc[FOCUS]
        assert (row["outcome"], row["aim"]) == (outcome, f"{aim:+.3f}")
        assert row["change"] == f"{gain:+.4f}" and row["now"] == pytest.approx(f1(parent) + gain)
        assert row["parent"] == pytest.approx(f1(parent))
        assert row["recipe of before"] == pytest.approx(f1(improved(parent, 0.5, 100)))


def f1(run):
    return f1_score(run.labels, run.predictions, average=None)[list(CLASSES)].mean()


def test_accuracy_may_not_fall_and_its_interval_says_by_how_much_it_might():
    parent = made(0.6)
    for after, outcome in (
        ([parent] * 2, "met"),
        ([improved(parent, 1.0, 5)], "met"),
        ([improved(parent, 0.1, 30)], "missed"),
        ([made(0.61, seed=1)], "missed"),  # it gains, on so different images that it might have lost
    ):
        row = aims_table(parent, after, after, CLASSES, 60).set_index("measure").loc[OVERALL]
        expected = seeds_table(parent, after, CLASSES).set_index("measure").loc[OVERALL]
        ends = interval(expected["low"], expected["high"], "+.4f")
        assert (row["outcome"], row["95% CI"], row["its 95% CI"]) == (outcome, ends, ends)


def test_other_budgets_have_no_aims():
    table = aims_table(made(0.6), [made(0.7)], [made(0.5)], CLASSES, 45)
    assert set(table["aim"]) == set(table["outcome"]) == {""} and (table["95% CI"] != "").all()


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "keep_freed_memory", lambda: None)
    dataset = make_synthetic(1000, 200)
    return trained_run(tmp_path, replace(TINY, validation_size=200), dataset), dataset


def test_the_recipe_of_before_learns_in_all_layers_and_averages_nothing(trained):
    run_file, dataset = trained
    settings = dict(focus="hardest:3", batch_size=50, threads=1, epochs=0.5)
    run = learn_as_before(run_file, dataset, 60, 2, **settings)
    record = run.meta["retraining"]
    assert record["weight"] == 1 and record["images"] == 400 and len(record["focus"]) == 3
    assert (
        record["settings"]
        == RetrainConfig(seconds=60.0, seed=2, train_layers="all", focus_share=0.5, **settings).to_dict()
    )
    assert run.meta["config"]["train_layers"] == "all" and not np.array_equal(run.logits, load_run(run_file).logits)
    assert np.array_equal(run.logits, learn_as_before(run_file, dataset, 60, 2, **settings).logits)


def test_one_run_tells_the_aims_of_both_models_and_both_budgets(trained, tmp_path, monkeypatch):
    """The jobs and the browser have tests of their own; here they give what was made up."""
    run_file, dataset = trained
    other = run_file.with_name("resnet.npz")
    for name in (run_file, run_file.with_suffix(".pt")):
        other.with_suffix(name.suffix).write_bytes(name.read_bytes())
    previous = {}

    class Job:
        folder = tmp_path / "job"

    monkeypatch.setattr(bench_retrain, "_button", lambda root, folder: [])
    monkeypatch.setattr(bench_retrain, "_timed_job", lambda config, parent, folder: ({"start to learning": 1.0}, Job))
    monkeypatch.setattr(bench_retrain, "retrained_path", lambda folder: run_file)
    monkeypatch.setattr(bench_retrain.setup, "read_setup", lambda folder: Focus)

    def as_before(parent, dataset, seconds, seed):
        previous[parent.stem, seconds, seed] = 1
        return load_run(parent)

    class Focus:
        focus = (0, 1)

    monkeypatch.setattr(bench_retrain, "learn_as_before", as_before)
    run = load_run(run_file)
    monkeypatch.setattr(
        bench_retrain,
        "load_run",
        lambda path: replace(run, meta=run.meta | {"retraining": {"weight": 0.5}}),
    )
    waits, aims = bench_retrain.retrain_tables(tmp_path, run_file, other, lambda name: dataset)
    assert len(previous) == 2 * 2 * len(bench_retrain.SEEDS)
    assert aims.groupby(["run", "budget"], sort=False).size().to_dict() == {
        (name, budget): 2 for name in (run_file.stem, "resnet") for budget in ("60 s", "20 s")
    }
    assert waits["what"].str.contains("share of what was learned").sum() == 4
