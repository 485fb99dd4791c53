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

from cifarcore import CifarcoreError, __version__, comparison, findings, metrics, paired, report_tables, summary
from cifarcore.app import charts
from cifarcore.disagreement import four_way, split_frame
from cifarcore.files import atomic_write
from cifarcore.runs import AlignedPair, Run, seeds_said

MAX_ROWS = 25  #: of a table that could be as long as the test set
MAX_POINTS = 10_000  #: drawn of each map

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; background: #fff }
body, td { color: #1d2127 } h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.verdict { border: 1px solid #ccd1d8; border-radius: 8px; padding: .6rem 1rem }
.a { color: #2f7fc1 } .b { color: #b05d0e } .note, figcaption, th { color: #565d68 }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .2rem .6rem; text-align: left; white-space: nowrap; vertical-align: top }
th, td { border-bottom: 1px solid #e3e6ea }
.wide td:nth-child(-n+2) { white-space: normal; min-width: 12rem }
.wrapped td { white-space: normal; overflow-wrap: anywhere }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_DUMBBELLS = (
    "Recall of each class under A (circle, blue) and B (diamond, orange), largest gain first; the thin line is the 95 "
    "% interval of the difference, laid from A's point"
)
METHODS = (
    "Verdict: two-sided exact McNemar test of accuracy at 5 % for one run each (McNemar, Psychometrika 1947). For "
    "several seeds each, seeds and test images count as crossed random effects (Obuchowski and Rockette, Commun. Stat. "
    "Simul. Comput. 1995; degrees of freedom of Satterthwaite, 1946, after Hillis, Statistics in Medicine 2007). The "
    "numbers of a model are means of its seeds' numbers, never those of averaged predictions.",
    f"Intervals: 95 %. One run each: bootstrap of {paired.RESAMPLES:,} resamples of the images within their class, the same "
    "for both models (Efron and Tibshirani, 1993), for accuracy and F1; AUC by DeLong, DeLong and Clarke-Pearson, Biometrics "
    "1988; recall by Bonett and Price, J. Educ. Behav. Stat. 2012; others normal, from each image's influence on the number. "
    "Several seeds of both models: Student's t over seeds and images, as in the verdict; several of one: normal, over images "
    "alone. Those of the report's findings are cut to the values that are possible.",
    "Superclass accuracy: the superclass whose classes' probabilities sum to the most is the predicted one.",
    "Claims about classes, confusion cells and pairs: exact McNemar or DeLong tests (for several seeds as above), "
    f"false discoveries held at 5 % (Benjamini and Hochberg, JRSS B 1995) among those with at least {paired.MIN_DISCORDANT} "
    "discordant images, or the most confused pairs.",
    f"Calibration: {metrics.ECE_BINS} equal-width bins (Naeini et al., AAAI 2015); temperature fitted on the "
    "validation split (Guo et al., ICML 2017). Brier score: sum over classes (Brier, 1950).",
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
    """The comparison of two models, each given as its name and its seeds' runs; `all_runs` are listed too."""
    name_a, name_b = (
        f"{name} ({said})" if (said := seeds_said(runs)) else name
        for name, runs in ((name_a, runs_a), (name_b, runs_b))
    )
    shared = comparison.on_shared_images([*runs_a, *runs_b])
    sides = {"A": shared[: len(runs_a)], "B": shared[len(runs_a) :]}
    result = comparison.compare(runs_a, runs_b)
    split = split_frame(four_way(AlignedPair(sides["A"][0], sides["B"][0], 0, 0)))
    title = f"{name_a} against {name_b}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p><b class="a">■ A: {escape(name_a)}</b> &nbsp; <b class="b">■ B: {escape(name_b)}</b> &nbsp; '
        "a difference is always B − A</p>",
        f'<div class="verdict"><p><b>{escape(result.verdict)}.</b> {escape(result.sentence)}</p></div>',
        *(f'<p class="note">{escape(note)}</p>' for note in result.notes),
        _section("Metrics", _table(report_tables.metric_table(result))),
        _section(
            "Same images, four outcomes",
            _chart(charts.split_bar(split), 900),
            _table(report_tables.split_table(split)),
            f'<p class="note">By the first seed of each. {report_tables.severity_text(sides)}</p>',
        ),
        _section("Maps", _maps(sides)),
        _section(
            "Classes",
            report_tables.claimed_classes(result),
            _chart(charts.dumbbells(report_tables.class_frame(result), "Recall"), 700, _DUMBBELLS),
        ),
        _section("Superclasses", _gains(runs_a, runs_b)),
        _section(
            "Confusions",
            "<p>Cells of the confusion matrix, tested; images, means over seeds.</p>",
            _table(report_tables.cell_table(result), MAX_ROWS),
            "<p>Pairs of classes most confused by both models: AUC on the images of the two.</p>",
            _table(report_tables.pair_table(result), MAX_ROWS),
        ),
        _section(
            "Calibration",
            _chart(charts.reliability(report_tables.reliability_frame(sides)), 420),
            _table(report_tables.temperature_table(sides)),
        ),
        _section("Learning curves", _curves(sides)),
        _section(
            "The report's findings",
            _findings(runs_a, runs_b, all_runs),
        ),
        _section(
            "Suspect labels",
            "<p>Images to which every run gives the same other class, surest first: a hint that the label may be "
            "wrong, not a proof.</p>",
            _table(report_tables.suspect_table(shared), MAX_ROWS),
        ),
        _section("All runs", f'<div class="wrapped">{_table(report_tables.run_table(all_runs, runs_a, runs_b))}</div>'),
        _section("Methods", "".join(f"<p>{escape(method)}</p>" for method in METHODS)),
    ]
    written = f"Written by cifarcore {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
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
    return (
        f'<div class="scroll">{shown.to_html(index=False, border=0, escape=True, na_rep="", max_rows=None)}</div>{more}'
    )


def _chart(chart: alt.TopLevelMixin, width: int, description: str | None = None) -> str:
    """The chart as an image in the page: drawn now, so that it needs no script, apart from the page's markup."""
    drawn = io.StringIO()
    chart.properties(width=width).save(drawn, format="svg")
    return _image(drawn.getvalue().encode(), "image/svg+xml", description or chart.description)


def _image(data: bytes, kind: str, description: str) -> str:
    encoded = base64.b64encode(data).decode()
    text = escape(str(description))
    return f'<figure><img src="data:{kind};base64,{encoded}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _maps(sides: dict[str, list[Run]]) -> str:
    a, b = sides["A"][0], sides["B"][0]
    if a.tsne is None or b.tsne is None:
        return '<p class="note">The runs have no maps; cifarcore project adds them.</p>'
    rows = np.random.default_rng(0).permutation(a.n_images)[:MAX_POINTS]
    outcome = four_way(AlignedPair(a, b, 0, 0))[rows]
    drawn = []
    for letter, run in (("A", a), ("B", b)):
        frame = pd.DataFrame({"x": run.tsne[rows, 0], "y": run.tsne[rows, 1], "outcome": outcome})
        drawn.append(_outcome_map(frame, f"{letter}: {run.name}"))
    told = [str(run.meta.get("map_source") or "what is not said") for run in (a, b)]
    sources = told[0] if told[0] == told[1] else f"{told[0]} (A) and {told[1]} (B)"
    picture = io.BytesIO()
    with alt.data_transformers.enable("default", max_rows=None):
        alt.hconcat(*drawn).save(picture, format="png", scale_factor=1.5)
    return _image(
        picture.getvalue(),
        "image/png",
        f"t-SNE of the first seed of each, by which model is right; made from {sources}",
    )


def _outcome_map(frame: pd.DataFrame, title: str) -> alt.Chart:
    colors = alt.Scale(domain=list(charts.SPLIT_COLORS), range=list(charts.SPLIT_COLORS.values()))
    place = {"axis": None, "scale": alt.Scale(zero=False)}
    color = alt.Color("outcome:N", scale=colors, legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1))
    chart = (
        alt.Chart(frame)
        .mark_circle(size=7, opacity=0.6)
        .encode(x=alt.X("x:Q", **place), y=alt.Y("y:Q", **place), color=color)
    )
    return chart.properties(width=420, height=420, title=title)


def _findings(runs_a: list[Run], runs_b: list[Run], all_runs: Sequence[Run]) -> str:
    if not findings.is_about(runs_a[0]):
        return '<p class="note">They are about CIFAR-100 and these images are not of it, so none is judged.</p>'
    table = report_tables.finding_table(findings.findings(runs_a, runs_b, all_runs))
    return f'<div class="wide">{_table(table)}</div>'


def _gains(runs_a: list[Run], runs_b: list[Run]) -> str:
    table = findings.gain_by_superclass(runs_a, runs_b)
    return '<p class="note">The runs name no superclasses.</p>' if table.empty else _chart(charts.gains(table), 700)


def _curves(sides: dict[str, list[Run]]) -> str:
    frames = [
        pd.DataFrame(run.history).assign(model=letter, run=run.name, minutes=run.history["seconds"] / 60)
        for letter, runs in sides.items()
        for run in runs
        if run.history and np.isfinite(run.history["val_accuracy"]).any()
    ]
    if not frames:
        return '<p class="note">The runs tell no validation accuracy by epoch.</p>'
    return _chart(charts.learning_curves(pd.concat(frames)), 700)
