"""The accuracy study: its plan, one entry trained on the synthetic set, and the table made from run files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made import made_run
from scipy.stats import binomtest, norm
from typer.testing import CliRunner

from cifarcore.cli import main as cli
from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import sample_ids, split_validation
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import other_seeds
from cifarcore.evidence.shares import tango_interval
from cifarcore.experiments import study, study_plan, study_table
from cifarcore.experiments.study_plan import BASE, PLAN
from cifarcore.presets import preset_config
from cifarcore.runs.layout import HISTORY_COLUMNS
from cifarcore.runs.run import load_run, save_run
from cifarcore.training import muon
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.loop import Stopped
from cifarcore.training.models import empty_model
from cifarcore.training.optimization import freeze, parameter_groups

TINY = dict(
    dataset="synthetic",
    widths=(8, 8, 8),
    hidden=16,
    epochs=2,
    batch_size=100,
    validation_size=200,
    device="cpu",
    precision="float32",
    threads=1,
)
#: what has to change together for one thing to change
TOGETHER = [
    {"batch_size", "learning_rate"},
    {"schedule", "step_size"},
    {"stem", "image_size"},
    {"first_size", "first_epochs"},
    {"teacher", "teacher_once"},
    {"muon", "batch_size", "learning_rate"},
]


def entry(name, model="cnn"):
    (found,) = study_plan.chosen(model, (name,))
    return found


def tiny(change):
    return replace(change.config(), **TINY)


@pytest.fixture(scope="module")
def dataset():
    """Without a test split: whoever asks for it fails."""
    made = make_synthetic(1000, 100)
    return replace(made, x_test=made.x_test[:0], y_test=None)  # no test image is there to be looked at


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """The base and one change, never stopped."""
    folder = tmp_path_factory.mktemp("study")
    for name in (BASE, "lr-double"):
        study.train_and_score(entry(name), tiny(entry(name)), dataset, folder, keep=True)
    return folder


@pytest.mark.parametrize("change", PLAN, ids=lambda change: f"{change.model}-{change.name}")
def test_an_entry_is_one_change_against_its_base(change):
    ours, base = change.config().to_dict(), entry(BASE, change.model).config().to_dict()
    different = {name for name in ours if ours[name] != base[name]} - {"preset", "epochs"}
    assert different == set(change.changes)
    assert len(different) == (change.name not in (BASE, "longer")) or different in TOGETHER
    assert ours["validation_size"] == 5000 and ours["preset"] == f"study-{change.name}" and type(change.epochs) is int
    if "batch_size" in different:
        assert ours["learning_rate"] / base["learning_rate"] == pytest.approx(ours["batch_size"] / base["batch_size"])
    if change.name == "longer":
        assert ours["epochs"] == 2 * base["epochs"]


def multiplications(config: TrainConfig) -> float:
    """Of a whole training, an image's: forward once, backward twice (by inputs and by weights) where something
    learns; and its share of what Muon multiplies at each step.
    """

    def forward(config, layers):
        counted = []

        def count(module, inputs, output):
            per_output = module.weight[0].numel()
            counted.append(per_output * output[0].numel() if isinstance(module, layers) else 0)

        with torch.device("meta"):
            model = empty_model(config, 100).eval()
        freeze(model, config.train_layers)
        learning = []
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
                learning.append(module.weight.requires_grad)
        model.to_empty(device="cpu")(torch.zeros(1, 3, 32, 32))
        return np.array(counted), np.array(learning)

    if config.first_epochs:
        parts = (config.first_epochs, config.first_size), (config.epochs - config.first_epochs, config.image_size)
        return sum(
            multiplications(replace(config, first_epochs=0, epochs=epochs, image_size=size)) for epochs, size in parts
        )
    counted, learning = forward(config, torch.nn.Conv2d | torch.nn.Linear)
    taught = 2 * forward(preset_config("resnet18", "quick"), torch.nn.Conv2d)[0].sum() if config.teacher_once else 0
    return config.epochs * (counted.sum() + 2 * counted[learning].sum() + orthogonalised(config)) + taught


def orthogonalised(config: TrainConfig) -> float:
    """What Muon multiplies at each step, for each image of the batch: three products in each of its iterations."""
    with torch.device("meta"):
        groups = parameter_groups(empty_model(config, 100), config)
    shapes = [sorted(each.flatten(1).shape) for group in groups if "muon" in group for each in group["params"]]
    return sum(muon.TIMES * (2 * m * m * n + m**3) for m, n in shapes) / max(1, config.batch_size)


@pytest.mark.parametrize("change", PLAN, ids=lambda change: f"{change.model}-{change.name}")
def test_each_entry_tells_its_arithmetic(change):
    share = multiplications(change.config()) / multiplications(entry(BASE, change.model).config())
    assert change.arithmetic == pytest.approx(share, rel=0.05)


def test_names_are_unique_and_unknown_ones_are_refused():
    names = [(change.model, change.name) for change in PLAN]
    assert len(set(names)) == len(names) and set(TrainConfig.__dataclass_fields__) >= {
        name for change in PLAN for name in change.changes
    }
    with pytest.raises(CifarcoreError, match="no change is named 'cutmixx'"):
        study_plan.chosen("cnn", ("cutmixx",))
    with pytest.raises(CifarcoreError, match="model is 'vgg'"):
        study_plan.chosen("vgg")


def test_a_run_file_holds_the_validation_split_and_the_networks_own_predictions(trained, dataset):
    run = load_run(trained / "cnn-base-0.npz")
    _, rows = split_validation(dataset.y_train, 200)
    assert np.array_equal(run.sample_ids, sample_ids(dataset.x_train[rows]))
    assert np.array_equal(run.labels, dataset.y_train[rows]) and run.val_logits is None and run.tsne is None
    checkpoint = load_checkpoint(trained / "cnn-base-0.pt")
    image, mirror = (
        study.score(checkpoint, part)[0].astype(np.float32)
        for part in (dataset.x_train[rows], np.ascontiguousarray(dataset.x_train[rows][:, :, ::-1]))
    )
    assert np.array_equal(run.predictions, image.argmax(axis=1))
    mirrored = load_run(trained / "cnn-mirror-0.npz")
    assert np.array_equal(mirrored.predictions, ((image + mirror) / 2).argmax(axis=1))
    assert run.correct.mean() == pytest.approx(run.history["val_accuracy"][-1], abs=0.01)
    for found, preset in ((run, "study-base"), (mirrored, "study-mirror")):
        assert found.meta["dataset"]["name"] == "synthetic validation split" and found.meta["preset"] == preset
        assert found.meta["config"]["epochs"] == 2 and found.meta["train_seconds"] > 0 and found.meta["device"]


def test_killed_and_resumed_gives_the_same_run_and_leaves_no_weights(trained, dataset, tmp_path):
    change = entry("lr-double")
    steps = iter(range(100))
    with pytest.raises(Stopped):
        study.train_and_score(change, tiny(change), dataset, tmp_path, should_stop=lambda: next(steps) == 4)
    assert not study.is_done(change, tiny(change), tmp_path)
    path = study.train_and_score(change, tiny(change), dataset, tmp_path)
    again, whole = load_run(path), load_run(trained / path.name)
    assert np.array_equal(again.logits, whole.logits) and again.path.name == "cnn-lr-double-0.npz"
    assert study.is_done(change, tiny(change), tmp_path) and [path] == list(tmp_path.iterdir())


def test_what_is_there_is_not_trained_again_unless_it_is_something_else(trained):
    base = entry(BASE)
    assert study.is_done(base, tiny(base), trained)
    with pytest.raises(CifarcoreError, match="other settings .epochs"):
        study.is_done(base, replace(tiny(base), epochs=3), trained)
    assert study.is_done(base, replace(tiny(base), threads=2), trained)


def test_a_teacher_that_saw_the_validation_images_is_refused(trained, dataset, tmp_path):
    change = entry("distilled")
    config = replace(change.config(teacher=str(trained / "cnn-base-0.pt")), **TINY)
    study.train_and_score(change, config, dataset, tmp_path)
    with pytest.raises(CifarcoreError, match="held out 200 images where this training holds out 100"):
        study.train_and_score(change, replace(config, validation_size=100), dataset, tmp_path)


def test_thinned_logits_keep_every_prediction_and_little_else():
    logits = np.random.default_rng(0).normal(size=(300, 100)).astype(np.float32) * 0.3
    small = study.thinned(logits)
    assert small.dtype == np.float16 and np.array_equal(small.argmax(axis=1), logits.argmax(axis=1))
    assert np.array_equal(small * 16, np.round(small * 16))
    assert ((small > small.min(axis=1, keepdims=True)).sum(axis=1) < study.LOGITS_KEPT).all()
    highest = np.argsort(logits, axis=1)[:, -5:-1]
    rows = np.arange(300)[:, None]
    assert np.abs(small[rows, highest] - logits[rows, highest]).max() <= study.LOGITS_STEP / 2
    assert study.thinned(logits[:, :4]).shape == (300, 4)


def test_a_run_file_of_5000_images_is_small(tmp_path):
    run = made_run(100, 5000, val=False, maps=False, neighbors=False)
    path = save_run(replace(run, logits=study.thinned(run.logits)), tmp_path / "run.npz")
    assert path.stat().st_size < 250_000


def of_study(change, accuracy, seed=0, arithmetic=1.0, model="cnn"):
    run = made_run(10, 1000, accuracy, seed, model, f"study-{change}", val=False, maps=False, neighbors=False)
    told = {"change": change, "what": f"with {change}", "group": "made", "arithmetic": arithmetic}
    return replace(run, meta=run.meta | {"study": told})


@pytest.fixture(scope="module")
def made():
    base = of_study(BASE, 0.5)
    same = replace(base, meta=base.meta | {"preset": "study-same", "study": {"change": "same", "what": "with same"}})
    return [of_study("bad", 0.4), same, base, of_study("good", 0.6), of_study("great", 0.7, arithmetic=2.0)]


def test_verdicts_follow_the_paired_test(made):
    table = study_table.study_table(made).set_index("change")
    assert list(table.index) == [BASE, "great", "good", "same", "bad"], "the base, then by gain"
    assert list(table["verdict"]) == ["", "better", "better", "not significant", "worse"]
    bad, base, good = made[0].correct, made[2].correct, made[3].correct
    row = table.loc["good"]
    assert row["difference"] == pytest.approx(good.mean() - base.mean())
    worse, better = (base & ~good).sum(), (good & ~base).sum()
    assert row["p"] == pytest.approx(binomtest(worse, worse + better).pvalue)
    low, high = tango_interval((base & ~bad).sum(), (bad & ~base).sum(), 1000)
    assert (table.loc["bad", "low"], table.loc["bad", "high"]) == pytest.approx((float(low), float(high)))


def test_it_counts_the_claims_that_would_be_false(made):
    """Without an effect: 5% of the changes by images alone, more where seeds vary, by simulated normal differences."""
    table = study_table.study_table(made)
    tested = table[table["verdict"] != ""]
    rng, claimed = np.random.default_rng(0), 0.0
    for row in tested.itertuples():
        error = (row.high - row.low) / 2 / norm.ppf(0.975)
        drawn = error * rng.standard_normal(200_000)
        drawn += study_table.SEED_SPREAD * (rng.standard_normal(200_000) - rng.standard_normal(200_000))
        claimed += (np.abs(drawn) > norm.ppf(0.975) * error).mean()
        found = other_seeds.false_claims(error, study_table.SEED_SPREAD)
        assert found == pytest.approx((np.abs(drawn) > norm.ppf(0.975) * error).mean(), abs=0.004)
    text = study_table.study_text(table)
    assert f"about {0.05 * len(tested):.0f} would be significant all the same if seeds did not vary" in text
    assert f"about {claimed:.0f} if they vary by ± 0.3 points" in text
    assert "so the lists of the largest overstate them" in text and "no effect" not in text.lower().replace(
        "that there is no effect", ""
    )


def test_false_claims_of_one_seed_each():
    """10,000 images of which 17% are correct under one model alone: about 14% at ± 0.26 points, 34% at ± 0.5."""
    error = np.sqrt(0.17 / 10_000)
    assert other_seeds.false_claims(error, 0.0026) == pytest.approx(0.14, abs=0.01)
    assert other_seeds.false_claims(error, 0.005) == pytest.approx(0.33, abs=0.015)
    assert other_seeds.false_claims(np.array([error, 0.0]), 0.0) == pytest.approx([0.05, 0.05])


def test_several_seeds_get_mean_and_deviation_and_the_test_over_seeds(made):
    runs = [
        of_study(name, accuracy + seed / 100, seed)
        for name, accuracy in ((BASE, 0.5), ("good", 0.65))
        for seed in range(3)
    ]
    table = study_table.study_table(runs)
    assert list(table["seeds"]) == [3, 3] and table["verdict"].iloc[1] == "better"
    accuracies = [run.correct.mean() for run in runs[3:]]
    assert f"{np.mean(accuracies):.4f} ± {np.std(accuracies, ddof=1):.4f}" in study_table.study_text(table)


def test_the_text_lists_every_change_and_what_brought_most_over_both_models(made):
    other = [of_study(BASE, 0.6, model="resnet18"), of_study("mild", 0.68, model="resnet18")]
    text = study_table.study_text(study_table.study_table([*made, *other]))
    brought, cost = text.split("Largest gains:")[1].split("Largest losses:")
    lines = brought.strip().splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "1. cnn, with great",
        "2. cnn, with good",
        "3. resnet18, with mild",
    ]
    assert lines[0].endswith("at 2.00 times the arithmetic") and "arithmetic" not in lines[1]
    loss = 100 * (made[2].correct.mean() - made[0].correct.mean())
    assert cost.strip().startswith(f"1. cnn, with bad: −{loss:.2f} points")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({row.count("|") for row in rows}) == 1 and "not significant" in text and "none (made up)" in text
    assert text.index("## cnn") < text.index("with same") < text.index("## resnet18")


def test_what_brought_most_says_where_it_took_other_epochs(made):
    longer = replace(made[3], history={name: np.ones(7, np.float32) for name in HISTORY_COLUMNS})
    base = replace(made[2], history={name: np.ones(2, np.float32) for name in HISTORY_COLUMNS})
    text = study_table.study_text(study_table.study_table([base, longer]))
    assert ", epochs: 7 for the base's 2" in text.split("Largest losses")[0]


def test_runs_that_make_no_study_are_refused(made):
    with pytest.raises(CifarcoreError, match="no run of the study"):
        study_table.study_table([made_run(10, 200)])
    with pytest.raises(CifarcoreError, match="no base of the cnn"):
        study_table.study_table(made[3:])
    part = made[3].take(np.arange(500))
    with pytest.raises(CifarcoreError, match="other images"):
        study_table.study_table([made[2], part])


def test_the_commands_list_the_plan_and_write_table_and_readme(trained, tmp_path):
    listed = CliRunner().invoke(cli.app, ["study", "--list", "--model", "cnn", "--only", "cutmix"]).output
    assert "CutMix" in listed and "resnet18" not in listed
    readme, out = tmp_path / "README.md", tmp_path / "study.md"
    readme.write_text("before\n<!-- study: made -->\nold\n<!-- /study -->\nafter\n")
    names = [str(path) for path in sorted(trained.glob("*.npz"))]
    for _ in range(2):
        shown = CliRunner().invoke(
            cli.app, ["compare", *names, "--study", str(out), "--readme", str(readme)], catch_exceptions=False
        )
    assert out.read_text().strip() in shown.output and not (tmp_path / "compare_summary.txt").exists()
    text = readme.read_text()
    assert "old" not in text and text.startswith("before\n") and text.endswith("<!-- /study -->\nafter\n")
    assert text.count("Largest gains") == 1
    readme.write_text("no markers")
    study_table.write_study([load_run(name) for name in names], out, readme)
    assert readme.read_text() == "no markers"


def test_the_app_does_not_list_the_studys_runs(trained, tmp_path):
    from cifarcore.app.catalog import find_runs

    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "cnn-base-0.npz").write_bytes((trained / "cnn-base-0.npz").read_bytes())
    assert not find_runs(tmp_path).groups and find_runs(tmp_path / "study").groups
