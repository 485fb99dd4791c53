"""What a short retraining was to gain, and whether it did: beside its parent, and beside the recipe of before.

The recipe of before learns here, in this process, as it did: all layers, half of a batch the focus's, nothing averaged.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.config import RetrainConfig
from cifarcore.data.cifar100 import Dataset, sample_ids
from cifarcore.evidence import metrics
from cifarcore.reports.headings import FOCUS, OVERALL
from cifarcore.reports.tables.retrained_seeds import seeds_table
from cifarcore.retraining.folders import file_digest, weights_path
from cifarcore.retraining.setup import Setup, choose_focus
from cifarcore.runs.alignment import align
from cifarcore.runs.run import Run, load_run
from cifarcore.text import interval, number

#: model -> change of the focus classes' mean F1 that a minute is to give
FOCUS_AIMS = {"cnn": 0.03, "resnet18": 0.02}
#: seconds -> part of it that they are to give
PARTS = {60: 1.0, 20: 0.5}
#: which the interval of the change in accuracy has to be above, its mean being no loss
LEAST_ACCURACY = -0.003
AS_BEFORE = dict(train_layers="all", focus_share=0.5)


def aims_table(
    parent: Run, after: Sequence[Run], previous: Sequence[Run], focus: tuple[int, ...], seconds: float
) -> pd.DataFrame:
    """A row for the mean F1 of the `focus` classes (indices) and one for accuracy, on the test images of `parent`.

    Columns measure, parent, recipe of before, now (means over the retraining seeds `previous` and `after`), change (of
    now from parent) with its 95% CI over seeds and images (`seeds_table`), the same of the recipe of before, aim, and
    outcome: whether the aim of a budget of `seconds` is met or missed, empty where there is none.
    """
    now, old = (
        seeds_table(parent, [align(parent, run).b for run in runs], focus).set_index("measure")
        for runs in (after, previous)
    )
    aim = PARTS.get(round(seconds), 0.0) * FOCUS_AIMS.get(parent.meta.get("model", ""), 0.0)
    change, loss = now.loc[FOCUS], now.loc[OVERALL]
    outcomes = {
        FOCUS: (f"{aim:+.3f}", change["difference"] >= aim),
        OVERALL: (
            f"no loss, interval above {LEAST_ACCURACY:+.3f}",
            loss["difference"] >= 0 and not loss["low"] <= LEAST_ACCURACY,  # NaN where no image changed
        ),
    }
    values = {FOCUS: metrics.macro_f1(parent, np.array(focus)), OVERALL: metrics.accuracy(parent)}
    rows = [
        {
            "measure": measure,
            "parent": values[measure],
            "recipe of before": values[measure] + old.loc[measure, "difference"],
            "now": values[measure] + now.loc[measure, "difference"],
            "change": number(now.loc[measure, "difference"], "+.4f"),
            "95% CI": interval(*now.loc[measure, ["low", "high"]], "+.4f"),
            "before's change": number(old.loc[measure, "difference"], "+.4f"),
            "its 95% CI": interval(*old.loc[measure, ["low", "high"]], "+.4f"),
            "aim": words if aim else "",
            "outcome": ("met" if met else "missed") if aim else "",
        }
        for measure, (words, met) in outcomes.items()
    ]
    return pd.DataFrame(rows)


def learn_as_before(run_file: Path, dataset: Dataset, seconds: float, seed: int, **changes) -> Run:
    """What the recipe of before makes of the run at `run_file`, its weights beside it, in `seconds` without scoring.

    `changes` are of RetrainConfig. Raises CifarcoreError where run file, weights and `dataset` do not fit.
    """
    from cifarcore.retraining.learning.learner import Learner
    from cifarcore.retraining.learning.parent import read_parent, validation_rows
    from cifarcore.retraining.learning.scoring import Scorer
    from cifarcore.retraining.learning.worker import all_cores, all_cores_but_one
    from cifarcore.training.hardware import cpu_threads, keep_freed_memory

    keep_freed_memory()
    config = RetrainConfig(**(AS_BEFORE | dict(seconds=seconds, seed=seed) | changes))
    run = load_run(run_file)
    focus = choose_focus(run, config)
    names = tuple(str(run.class_names[index]) for index in focus)
    setup = Setup(config, run_file, run.digest, file_digest(weights_path(run_file)), focus, names)
    run, parent = read_parent(setup)
    val_rows = validation_rows(run, parent, dataset, sample_ids(dataset.x_train))
    with cpu_threads(config.threads or all_cores_but_one()):
        learner = Learner(setup, parent, dataset, val_rows)
        began = time.monotonic()
        while learner.fraction < 1:
            learner.take_step().item()
            learner.learned = time.monotonic() - began
    with cpu_threads(config.threads or all_cores()):
        return Scorer(run, dataset, val_rows).retrained(learner.checkpoint(parent, run, "", False), None)
