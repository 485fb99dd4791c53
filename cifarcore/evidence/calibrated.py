"""Whose probabilities are better, tested by Brier score and log loss, before and after temperature scaling.

Both are proper scores (Gneiting and Raftery, JASA 2007) and means over images; noise biases the calibration error.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import absent, calibration, crossed
from cifarcore.runs.run import Run
from cifarcore.text import plain
from cifarcore.threads import each

BEFORE, AFTER = "before temperature scaling", "after temperature scaling"
SCORES = ("brier", "log_loss")


def compared(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """Both models' scores and their paired difference, a row for each of SCORES and of BEFORE and AFTER.

    Columns score, when, a, b (means over runs), difference, low, high (95%), p, method, why. `runs` are on the same
    images, A's `n_a` first. NaN where a run lacks what a row needs, which `why` explains.
    """
    temperatures = each(calibration.fit_temperature, runs)
    unscaled = dict.fromkeys(plain(run.group) for run, t in zip(runs, temperatures, strict=True) if t is None)
    has = "has" if len(unscaled) == 1 else "have"
    no_split = f"{' and '.join(unscaled)} {has} no validation split to fit a temperature on" if unscaled else ""
    groups, rows = crossed.strata(runs[0].labels), []
    for when in (BEFORE, AFTER):
        scaled = [1.0 if when == BEFORE or t is None else t for t in temperatures]
        few = f"fewer than {crossed.FEW_IMAGES} images" if len(groups[0]) < crossed.FEW_IMAGES else ""
        reasons = [absent.why(score, *runs) or (no_split if when == AFTER else "") or few for score in SCORES]
        terms = [] if all(reasons) else each(lambda of: calibration.score_terms(*of), zip(runs, scaled, strict=True))
        for place, (score, why) in enumerate(zip(SCORES, reasons, strict=True)):
            nothing = np.full((len(runs), len(groups[0])), np.nan)
            of_images = nothing if why else np.stack([of[place] for of in terms])
            values = of_images.mean(axis=1)
            tested = crossed.difference(values, crossed.image_covariance(of_images / len(groups[0]), *groups), n_a)
            a, b = float(values[:n_a].mean()), float(values[n_a:].mean())
            row = {"score": score, "when": when, "a": a, "b": b, "difference": b - a, "low": float(tested.low)}
            row |= {"high": float(tested.high), "p": float(tested.p)}
            method = crossed.method(float(tested.df), several=len(runs) > 2)
            how = "no interval: nothing varies" if np.isnan(tested.low) else method
            rows.append(row | {"method": "" if why else how, "why": why})
    return pd.DataFrame(rows)
