"""The report's claims and how they hold here, and where B gains, as tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import findings
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, plain, spaced


def findings_table(measured: pd.DataFrame) -> pd.DataFrame:
    """findings.findings as text, the claim and the measurement said once: Claim, Measurement, Holds where, Model,
    Value, Verdict.
    """
    repeated = measured["claim"] == measured["claim"].shift()
    same = repeated & (measured["measure"] == measured["measure"].shift())
    return pd.DataFrame(
        {
            "Claim": measured["claim"].mask(repeated, ""),
            "Measurement": measured["measure"].mask(same, ""),
            "Holds where": measured["bounds"].mask(same, ""),
            "Model": measured["model"],
            "Value (95% CI)": [_finding(*row) for row in measured[["value", "low", "high"]].itertuples(index=False)],
            "Verdict": measured["verdict"],
        }
    )


def band_frame(measured: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """findings.findings as charts.findings.bands takes it, failures first; `names` are those of A and B.

    Each row is on a scale of its own, which its bounds label: from 0 to 1 along the row lie value, low, high, and least
    and most, the ends of the band in which the claim holds; least_text and most_text are these as numbers ("" where the
    band has no end).
    """
    place = {findings.FAILS: 0, findings.UNKNOWN: 1, findings.HOLDS: 2}
    frame = measured.iloc[np.argsort(measured["verdict"].map(place), kind="stable")].reset_index(drop=True)
    numbers = ["value", "low", "high", "least", "most"]
    finite = frame[numbers].replace([-np.inf, np.inf], np.nan)
    start, end = finite.min(axis=1), finite.max(axis=1)
    span = (end - start).where(end > start, 1.0)
    scaled = frame[numbers].sub(start - 0.1 * span, axis=0).div(1.2 * span, axis=0)
    marks = {findings.FAILS: "✗", findings.UNKNOWN: "?", findings.HOLDS: "✓"}
    models = frame["model"].replace(dict(zip("AB", names, strict=True)))
    shown = [_finding(*row) for row in frame[["value", "low", "high"]].itertuples(index=False)]
    titles = [
        " · ".join(
            (
                f"{marks[row.verdict]} {text}",
                *([] if row.measure.startswith(model) else [model]),  # "B − A in accuracy" names it
                row.measure.replace(findings.MAP, "t-SNE: "),
            )
        )
        for row, text, model in zip(frame.itertuples(), shown, models, strict=True)
    ]
    ends = {
        f"{name}_text": [number(end, ".4g") if np.isfinite(end) else "" for end in frame[name]]
        for name in ("least", "most")
    }
    return pd.DataFrame(
        {"row": frame.index, **ends, "title": titles, "claim": frame["claim"], "text": frame["measure"],
         "model": models, "bounds": frame["bounds"], "shown": shown, "verdict": frame["verdict"], **scaled.clip(0, 1)}
    )  # fmt: skip


def superclass_gains(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> pd.DataFrame:
    """findings.gain_by_superclass with names fit to show, computed once; empty without superclasses."""
    gain: pd.DataFrame = memo(findings.gain_by_superclass, tuple(runs_a), tuple(runs_b))
    return gain if gain.empty else gain.assign(name=[plain(spaced(name)) for name in gain["name"]])


def _finding(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "not measured"
    form = ".1f" if abs(value) >= 10 else ".3f"
    return number(value, form) + (f" ({interval(low, high, form)})" if np.isfinite(low) else "")
