"""The run files that come with the project: what they reached, and that every text made from them says the same."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from cifarcore.data import cifar100 as data
from cifarcore.data.cifar100 import sample_ids
from cifarcore.data.corruptions import corrupted
from cifarcore.data.ids import rows_of
from cifarcore.evidence import metrics, robustness
from cifarcore.experiments import study_table
from cifarcore.reports.summary import results_table, summary_text
from cifarcore.runs.corrupted import corrupted_of
from cifarcore.runs.run import load_run
from cifarcore.text import mean_with_spread
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.evaluation import score

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "checkpoints"
# at the last epoch, on the test images; nothing was chosen on them
FLOORS = {"cnn-quick": 0.65, "resnet18-quick": 0.75, "resnet18-longer": 0.77}
SEEDS = {"cnn-quick": [0, 1, 2], "resnet18-quick": [0, 1, 2], "resnet18-longer": [0]}
#: the best of each model, which a retraining starts from
WEIGHTS = ("cnn-quick-0.pt", "resnet18-longer-0.pt")
# as the README's command names them, the pair that is compared first in front; whoever trains may have more beside them
NAMED = re.search(r"<!-- results: written by `cifarcore compare (.*) --out", (ROOT / "README.md").read_text())[1]
PATHS = [path for pattern in NAMED.split() for path in sorted(ROOT.glob(pattern))]


@pytest.fixture(scope="module")
def runs():
    return [load_run(path) for path in PATHS]


def test_both_models_are_there_with_three_seeds_each_and_the_best_weights(runs):
    for group, seeds in SEEDS.items():
        assert sorted(run.meta["seed"] for run in runs if run.group == group) == seeds
    assert all((FOLDER / name).exists() for name in WEIGHTS)


def test_each_run_is_the_official_test_split_and_tells_how_it_was_made(runs):
    for run in runs:
        assert (
            data.fingerprint(run.sample_ids, run.labels) == data.TEST_FINGERPRINT == run.meta["dataset"]["fingerprint"]
        )
        assert (
            run.meta["config"]["seed"] == run.meta["seed"] and len(run.history["epoch"]) == run.meta["config"]["epochs"]
        )
        assert run.meta["initialised_from"] and run.meta["device"] and run.meta["train_seconds"] > 0
        assert run.tsne.shape == run.umap.shape == (10000, 2) and run.train_neighbor_ids.shape == (10000, 5)
        assert (0 if run.val_labels is None else len(run.val_labels)) == run.meta["config"]["validation_size"]


def test_each_run_is_at_or_above_its_floor(runs):
    for run in runs:
        assert run.correct.mean() >= FLOORS.get(run.group, 0), run.name


def test_scikit_learn_gives_the_numbers_shown_to_all_digits(runs):
    summary = (FOLDER / "compare_summary.txt").read_text()
    seen = {}
    for run in runs:
        scores = np.exp(run.logits.astype(np.float64))
        scores /= scores.sum(axis=1, keepdims=True)
        found = (
            accuracy_score(run.labels, run.logits.argmax(axis=1)),
            f1_score(run.labels, run.logits.argmax(axis=1), average="macro"),
            np.mean([roc_auc_score(run.labels == index, scores[:, index]) for index in range(100)]),
        )
        shown = metrics.headline(run)
        assert [f"{value:.4f}" for value in found] == [
            f"{shown[name]:.4f}" for name in ("accuracy", "macro_f1", "macro_auc")
        ]
        line = next(line for line in summary.splitlines() if line.startswith(f"{run.name} "))
        assert all(f"{value:.4f}" in line for value in found), line
        seen.setdefault(run.group, []).append(found)
    for group, found in seen.items():
        line = next(line for line in summary.splitlines() if line.startswith(f"{group} "))
        for values in zip(*found, strict=True):
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(found) > 1 else ""
            assert f"{np.mean(values):.4f}{spread}" in line


def test_summary_and_readme_are_what_the_command_writes(runs):
    assert (FOLDER / "compare_summary.txt").read_text() == summary_text(runs)
    shown = re.search(r"<!-- results:[^>]*-->\n(.*?)<!-- /results -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown and shown[1].strip() == results_table(runs).strip()


def test_the_training_page_tells_what_the_run_files_reached(runs):
    page = (ROOT / ".github" / "docs" / "training.md").read_text()
    table = page[page.index("| Training | Target |") :].split("\n\n")[0]
    reached = re.findall(r"\| ([\d.]+(?: ± [\d.]+)?), `([\w-]+)` \|", table)
    assert {name: value for value, name in reached} == {
        group: mean_with_spread([run.correct.mean() for run in runs if run.group == group], ".4f") for group in SEEDS
    }


def test_the_study_and_its_page_are_what_the_command_writes():
    table = study_table.study_table([load_run(path) for path in sorted((FOLDER / "study").glob("*.npz"))])
    assert (FOLDER / "study" / "study.md").read_text() == study_table.study_text(table)
    page = (ROOT / ".github" / "docs" / "study.md").read_text()
    shown = re.search(r"<!-- study:[^>]*-->\n(.*?)<!-- /study -->", page, re.DOTALL)
    assert shown and shown[1].strip() == study_table.short_text(table).strip()


def test_no_file_holds_a_path_of_the_machine_that_made_it(runs):
    for run in runs:
        assert not re.search(r"/(home|root|work|tmp|mnt|Users)/", str(run.meta)), run.name


def test_what_the_networks_predict_on_corrupted_images_is_of_the_bundled_weights():
    images = data.load_test_images()
    found = {}
    for name in WEIGHTS:
        run = load_run(FOLDER / name.replace(".pt", ".npz"))
        found[name] = corrupted_of(run)
        assert len(found[name].conditions) == 45 and len(found[name].sample_ids) == 2000
    result = robustness.compare(*([(load_run(FOLDER / name.replace(".pt", ".npz")), found[name])] for name in WEIGHTS))
    assert result.n_images == 2000 and result.overall.loc["corrupted", "difference"] > 0
    if images is None:
        pytest.skip("needs CIFAR-100 to corrupt its images anew: set CIFARCORE_DATA")
    few = found["cnn-quick-0.pt"]
    rows = rows_of(sample_ids(images[0]), few.sample_ids[:200])
    pictures = corrupted(images[0][rows], few.sample_ids[:200], "jpeg_compression", 3)
    logits, _ = score(load_checkpoint(FOLDER / "cnn-quick-0.pt"), pictures, "cpu")
    kept = few.predictions[few.conditions.index(("jpeg_compression", 3))][:200]
    assert (logits.argmax(axis=1) == kept).mean() > 0.98  # another processor may round a near tie otherwise
