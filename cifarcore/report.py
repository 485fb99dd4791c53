"""The whole comparison as one HTML file that needs nothing else: no script, no network, charts drawn in advance.

Lays out what `comparison`, `findings` and `summary` say, with the app's charts; computes nothing of its own.
"""

import base64
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from cifarcore import CifarcoreError, __version__, comparison, findings, metrics, paired, summary
from cifarcore.app import charts
from cifarcore.comparison import Comparison
from cifarcore.files import atomic_write
from cifarcore.runs import AlignedPair, Run

MAX_ROWS = 25  #: of a table that could be as long as the test set
MAX_CLASSES = 200  #: that are drawn; beyond it the largest changes are
MAX_POINTS = 10_000  #: drawn of each map

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; color: #1d2127; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem } img { max-width: 100%; height: auto }
.verdict { border: 1px solid #ccd1d8; border-radius: 8px; padding: .6rem 1rem } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem } th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #e3e6ea }
th { color: #565d68 } th, td { white-space: nowrap; vertical-align: top } .wide td:nth-child(-n+2) { white-space: normal; min-width: 12rem } .wrapped td { white-space: normal; overflow-wrap: anywhere } .a { color: #2f7fc1 } .b { color: #b05d0e } .note, figcaption { color: #565d68 } figure { margin: 1rem 0 }
"""

_DUMBBELLS = (
    "Recall of each class under A (circle, blue) and B (diamond, orange), largest gain first; the thin line is the 95 % interval of "
    "the difference, laid from A's point"
)
METHODS = (
    "Verdict: two-sided exact McNemar test of accuracy at 5 % for one run each (McNemar, Psychometrika 1947). For several seeds "
    "each, seeds and test images count as crossed random effects (Obuchowski and Rockette, Commun. Stat. Simul. Comput. 1995; degrees "
    "of freedom of Satterthwaite, 1946, after Hillis, Statistics in Medicine 2007). The numbers of a model are means of "
    "its seeds' numbers, never those of averaged predictions.",
    f"Intervals: 95 %. Bootstrap: {paired.RESAMPLES:,} resamples of the images within their class, the same for both models "
    "(Efron and Tibshirani, 1993). AUC: DeLong, DeLong and Clarke-Pearson, Biometrics 1988. Recall: Bonett and Price, J. Educ. "
    "Behav. Stat. 2012. Single accuracies: Wilson, JASA 1927. Others: normal, from each image's influence on the number.",
    "Claims about classes, confusion cells and pairs: exact McNemar or DeLong tests (for several seeds as above), false discoveries held at "
    f"5 % (Benjamini and Hochberg, JRSS B 1995) among those with at least {paired.MIN_DISCORDANT} discordant images, or the most confused pairs.",
    f"Calibration: {metrics.ECE_BINS} equal-width bins (Naeini et al., AAAI 2015); temperature fitted on the validation split (Guo et "
    "al., ICML 2017). Brier score: sum over classes (Brier, 1950).",
    "How often these methods err is checked by simulation: python -m cifarcore.simulation.",
)


def write_html(runs: Sequence[Run], out: str | Path) -> Path:
    """Write the comparison of the first two groups among `runs` to `out`, atomically.

    Raises CifarcoreError where there are fewer than two groups.
    """
    groups = list(summary.grouped(runs).items())
    if len(groups) < 2:
        raise CifarcoreError("a report compares two models and only one is named; name run files of a second one")
    out = Path(out)
    page = html_page(groups[0][0], groups[1][0], groups[0][1], groups[1][1], runs)
    with atomic_write(out) as file:
        file.write(page.encode())
    return out


def html_page(name_a: str, name_b: str, runs_a: list[Run], runs_b: list[Run], all_runs: Sequence[Run]) -> str:
    """The comparison of two models, each given as its name and its seeds' runs; `all_runs` may tell more (findings, table)."""
    shared = comparison.on_shared_images([*runs_a, *runs_b])
    sides = {"A": shared[: len(runs_a)], "B": shared[len(runs_a) :]}
    result = comparison.compare(runs_a, runs_b)
    title = f"{name_a} against {name_b}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p><b class="a">■ A: {escape(name_a)}</b> &nbsp; <b class="b">■ B: {escape(name_b)}</b> &nbsp; a difference is always B − A</p>',
        f'<div class="verdict"><p><b>{escape(result.verdict)}.</b> {escape(result.sentence)}</p></div>',
        *(f'<p class="note">{escape(note)}</p>' for note in result.notes),
        _section("Metrics", _table(_metrics(result))),
        _section(
            "Same images, four outcomes",
            _chart(charts.split_bar(_split(sides)), 900),
            f'<p class="note">By the first seed of each. {_severity(sides)}</p>',
        ),
        _section("Maps", _maps(sides)),
        _section("Classes", _claimed_classes(result), _chart(charts.dumbbells(_class_frame(result), "Recall"), 700, _DUMBBELLS)),
        _section("Superclasses", _gains(runs_a, runs_b)),
        _section(
            "Confusions",
            "<p>Cells of the confusion matrix, tested; images, means over seeds.</p>",
            _table(_cells(result), MAX_ROWS),
            "<p>Pairs of classes most confused by both models: AUC on the images of the two.</p>",
            _table(_pairs(result), MAX_ROWS),
        ),
        _section("Calibration", _chart(charts.reliability(_reliability(sides)), 420), _table(_temperatures(sides))),
        _section("Learning curves", _curves(sides)),
        _section("The report's findings", f'<div class="wide">{_table(_findings(findings.findings(runs_a, runs_b, all_runs)))}</div>'),
        _section(
            "Suspect labels",
            "<p>Images to which every run gives the same other class, surest first: a hint that the label may be wrong, not a proof.</p>",
            _table(_suspects(shared), MAX_ROWS),
        ),
        _section("All runs", f'<div class="wrapped">{_table(_runs(all_runs))}</div>'),
        _section("Methods", "".join(f"<p>{escape(method)}</p>" for method in METHODS)),
    ]
    written = f"Written by cifarcore {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + f'\n<p class="note">{written}</p>\n</body></html>\n'
    )


def _section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(parts)


def _table(table: pd.DataFrame, most: int | None = None) -> str:
    if table.empty:
        return '<p class="note">None.</p>'
    shown = table if most is None else table.head(most)
    more = f'<p class="note">The first {most} of {len(table):,}.</p>' if most is not None and len(table) > most else ""
    return f'<div class="scroll">{shown.to_html(index=False, border=0, escape=True, na_rep="", max_rows=None)}</div>{more}'


def _chart(chart: alt.TopLevelMixin, width: int, description: str | None = None) -> str:
    """The chart as an image in the page: drawn now, so that it needs no script, and kept apart from the page's own markup."""
    drawn = io.StringIO()
    chart.properties(width=width).save(drawn, format="svg")
    return _image(drawn.getvalue().encode(), "image/svg+xml", description or chart.description)


def _image(data: bytes, kind: str, description: str) -> str:
    encoded = base64.b64encode(data).decode()
    text = escape(str(description))
    return f'<figure><img src="data:{kind};base64,{encoded}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _metrics(result: Comparison) -> pd.DataFrame:
    rows = []
    for name, row in result.metrics.dropna(subset="difference").iterrows():
        cells = {"Metric": summary.TITLES[name]}
        for letter in "ab":
            std = row[f"std_{letter}"]
            cells[letter.upper()] = f"{row[letter]:.4f}" + ("" if np.isnan(std) else f" ± {std:.4f}")
        cells |= {"B − A": _signed(row["difference"]), "95 % interval": _interval(row["low"], row["high"])}
        rows.append(cells | {"p": "" if np.isnan(row["p"]) else summary.p_value(row["p"]), "by": row["method"]})
    return pd.DataFrame(rows)


def _split(sides: dict[str, list[Run]]) -> pd.DataFrame:
    a, b = sides["A"][0], sides["B"][0]
    groups = comparison.four_way(AlignedPair(a, b, 0, 0))
    images = [int((groups == group).sum()) for group in comparison.FOUR_WAYS]
    return pd.DataFrame({"group": comparison.FOUR_WAYS, "images": images, "share": np.array(images) / len(groups)})


def _severity(sides: dict[str, list[Run]]) -> str:
    told = []
    for letter, runs in sides.items():
        table = comparison.severity(runs[0])
        if not table.empty:
            row = table.loc["within superclass"]
            told.append(f"{row['share']:.1%} of {letter}'s errors stay within the superclass, {row['ratio']:.1f} times chance")
    return escape("; ".join(told) + "." if told else "")


def _maps(sides: dict[str, list[Run]]) -> str:
    a, b = sides["A"][0], sides["B"][0]
    if a.tsne is None or b.tsne is None:
        return '<p class="note">The run files hold no maps; cifarcore project adds them.</p>'
    rows = np.random.default_rng(0).permutation(a.n_images)[:MAX_POINTS]
    outcome = comparison.four_way(AlignedPair(a, b, 0, 0))[rows]
    drawn = []
    for letter, run in (("A", a), ("B", b)):
        frame = pd.DataFrame({"x": run.tsne[rows, 0], "y": run.tsne[rows, 1], "outcome": outcome})
        drawn.append(_outcome_map(frame, f"{letter}: {run.name}"))
    picture = io.BytesIO()
    with alt.data_transformers.enable("default", max_rows=None):
        alt.hconcat(*drawn).save(picture, format="png", scale_factor=1.5)
    return _image(picture.getvalue(), "image/png", "t-SNE of the penultimate features of the first seed of each, by which model is right")


def _outcome_map(frame: pd.DataFrame, title: str) -> alt.Chart:
    colors = alt.Scale(domain=list(charts.SPLIT_COLORS), range=list(charts.SPLIT_COLORS.values()))
    place = {"axis": None, "scale": alt.Scale(zero=False)}
    color = alt.Color("outcome:N", scale=colors, legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1))
    chart = alt.Chart(frame).mark_circle(size=7, opacity=0.6).encode(x=alt.X("x:Q", **place), y=alt.Y("y:Q", **place), color=color)
    return chart.properties(width=420, height=420, title=title)


def _class_frame(result: Comparison) -> pd.DataFrame:
    table = result.class_table.dropna(subset="recall_difference")
    if len(table) > MAX_CLASSES:
        table = table.loc[table["recall_difference"].abs().nlargest(MAX_CLASSES).index]
    table = table.sort_values("recall_difference", ascending=False, kind="stable")
    names = {"name": "class", **{f"recall_{part}": part for part in ("a", "b", "difference", "low", "high")}}
    return table.rename(columns=names)[[*names.values(), "claim", "superclass", "support"]]


def _claimed_classes(result: Comparison) -> str:
    told = []
    for claim in ("gained", "lost"):
        table = result.class_table.query("claim == @claim")
        names = [f"{name} {_signed(gain, '.2f')}" for name, gain in zip(table["name"], table["recall_difference"], strict=True)]
        told.append(f"<p><b>Recall {claim} in B: {len(table)} classes.</b> {escape(', '.join(names))}</p>")
    return "".join(told)


def _gains(runs_a: list[Run], runs_b: list[Run]) -> str:
    table = findings.gain_by_superclass(runs_a, runs_b)
    return '<p class="note">The run files name no superclasses.</p>' if table.empty else _chart(charts.gains(table), 700)


def _cells(result: Comparison) -> pd.DataFrame:
    cells = result.cells
    return pd.DataFrame(
        {
            "True": cells["true_name"],
            "Predicted": cells["predicted_name"],
            "A": [f"{value:.1f}" for value in cells["a"]],
            "B": [f"{value:.1f}" for value in cells["b"]],
            "B − A": [_signed(value, ".1f") for value in cells["difference"]],
            "q": [summary.p_value(value) for value in cells["q"]],
            "Claim": cells["claim"],
        }
    )


def _pairs(result: Comparison) -> pd.DataFrame:
    pairs = result.pairs
    return pd.DataFrame(
        {
            "Pair": [f"{one} or {other}" for one, other in zip(pairs["first_name"], pairs["second_name"], strict=True)],
            "Confused (A + B)": [f"{value:.1f}" for value in pairs["confused"]],
            "AUC of A": [f"{value:.4f}" for value in pairs["a"]],
            "AUC of B": [f"{value:.4f}" for value in pairs["b"]],
            "B − A": [_signed(value) for value in pairs["difference"]],
            "95 % interval": [_interval(low, high) for low, high in zip(pairs["low"], pairs["high"], strict=True)],
            "q": [summary.p_value(value) for value in pairs["q"]],
            "Claim": pairs["claim"],
        }
    )


def _reliability(sides: dict[str, list[Run]]) -> pd.DataFrame:
    frames = [metrics.reliability(run).assign(model=letter, run=run.name) for letter, runs in sides.items() for run in runs]
    return pd.concat(frames).query("count > 0")


def _temperatures(sides: dict[str, list[Run]]) -> pd.DataFrame:
    rows = []
    for letter, runs in sides.items():
        for run in runs:
            fitted = metrics.fit_temperature(run)
            rows.append({"Model": letter, "Run": run.name, "Temperature": "no validation split" if fitted is None else f"{fitted:.3f}"})
    return pd.DataFrame(rows)


def _curves(sides: dict[str, list[Run]]) -> str:
    frames = [
        pd.DataFrame(run.history).assign(model=letter, run=run.name, minutes=run.history["seconds"] / 60)
        for letter, runs in sides.items()
        for run in runs
        if run.history and np.isfinite(run.history["val_accuracy"]).any()
    ]
    if not frames:
        return '<p class="note">The run files hold no validation accuracy by epoch.</p>'
    return _chart(charts.learning_curves(pd.concat(frames)), 700)


def _findings(table: pd.DataFrame) -> pd.DataFrame:
    def shown(value: float, form: str = ".4f") -> str:
        return "not measured" if np.isnan(value) else format(value, form).replace("-", "−")

    interval = ["" if np.isnan(low) else f"{shown(low)} to {shown(high)}" for low, high in zip(table["low"], table["high"], strict=True)]
    return pd.DataFrame(
        {
            "Claim": table["claim"],
            "Measure": table["measure"],
            "Holds where": table["bounds"],
            "Model": table["model"],
            "Value": [shown(value) for value in table["value"]],
            "95 % interval": interval,
            "Verdict": table["verdict"],
        }
    )


def _suspects(runs: list[Run]) -> pd.DataFrame:
    table = comparison.suspect_labels(runs)
    return pd.DataFrame(
        {
            "Sample id": [f"{sample_id:016x}" for sample_id in table["sample_id"]],
            "Label": table["label_name"],
            "Every run says": table["predicted_name"],
            "Mean confidence": [f"{value:.1%}" for value in table["confidence"]],
        }
    )


def _runs(runs: Sequence[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        dataset, versions = run.meta.get("dataset") or {}, run.meta.get("versions") or {}
        row = {
            "Run": run.name,
            "Accuracy": f"{metrics.accuracy(run):.4f}",
            "Data": f"{dataset.get('name', 'not named')}, {run.n_images:,} images, {dataset.get('fingerprint', 'no fingerprint')}",
            "Initialised from": run.meta.get("initialised_from") or "not said",
            "Hardware": run.meta.get("device") or "not said",
            "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or "not said",
            "File digest": run.digest,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _signed(value: float, form: str = ".4f") -> str:
    return f"{value:+{form}}".replace("-", "−")


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) or np.isnan(high) else f"{_signed(low)} to {_signed(high)}"
