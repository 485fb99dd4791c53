"""The whole comparison as one HTML file that needs nothing else: no script, no network, charts drawn in advance.

Lays out what `comparison` and `findings` say, with the app's tables and charts; computes nothing of its own.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape

import altair as alt
import numpy as np
import pandas as pd

from cifarcore.evidence import absent, calibration, findings, paired, seed_notes
from cifarcore.evidence.comparison import Comparison
from cifarcore.evidence.disagreement import FOUR_WAYS, four_way
from cifarcore.evidence.known import coincidence
from cifarcore.reports import markup
from cifarcore.reports.charts import classes as class_charts
from cifarcore.reports.charts import marks
from cifarcore.reports.charts import overview as overview_charts
from cifarcore.reports.charts.colors import SPLIT_COLORS
from cifarcore.reports.examples import examples
from cifarcore.reports.sections import decision_sections, lines_note
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables import classes, confusion, disagreements, known, overview, roc
from cifarcore.reports.tables.findings import findings_table, superclass_gains
from cifarcore.reports.tables.galleries import OUTCOMES
from cifarcore.reports.tables.other_seeds import other_seeds_text
from cifarcore.runs.run import Run
from cifarcore.text import counted, number, shown
from cifarcore.version import __version__

MAX_ROWS = 25  #: of a table that could be as long as the test set
MAX_CLASSES = 200  #: that are drawn; beyond it those that change most
MAX_POINTS = 10_000  #: drawn of each map

_WRAPPED = ", ".join(f".wrap-{i} td:nth-child({i})" for i in range(1, markup.MOST_COLUMNS + 1))
_STYLE = (
    """
:root { color-scheme: light dark; --ground: #fff }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem }
body { background: var(--ground) } body, td { color: #1d2127 }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.verdict { border: 1px solid #ccd1d8; border-radius: 8px; padding: .6rem 1rem }
.a { color: #2a6fab } .b { color: #a0520c } .note, figcaption, th { color: #565d68 }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto }
/* what is wider than the page is moved within its frame, whose edge is shaded where there is more */
.scroll, figure { overflow-x: auto; background:
  linear-gradient(to right, var(--ground) 40%, transparent) left / 2rem 100% no-repeat local,
  linear-gradient(to left, var(--ground) 40%, transparent) right / 2rem 100% no-repeat local,
  linear-gradient(to right, #8887, transparent) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, #8887, transparent) right / .8rem 100% no-repeat scroll }
figcaption { position: sticky; left: 0 }
@media (max-width: 700px) { figure img { max-width: none } }
table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .2rem .6rem; text-align: left; white-space: nowrap; vertical-align: top }
th, td { border-bottom: 1px solid #e3e6ea } th { white-space: normal; vertical-align: bottom }
WRAPPED { white-space: normal; min-width: 11rem }
@media (max-width: 700px) { WRAPPED { min-width: 18rem } }
.wide td:nth-child(-n+2) { white-space: normal; min-width: 12rem }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem }
.picture { width: 6.6rem; font-size: .75rem; line-height: 1.25; overflow-wrap: anywhere }
.picture img { width: 64px; height: 64px; image-rendering: pixelated }
.keys i { display: inline-block; width: .7rem; height: .7rem; margin: 0 .4rem 0 1rem; border-radius: 50% }
.keys i:first-child { margin-left: 0 }
.wrapped td { white-space: normal; overflow-wrap: anywhere } .narrow { max-width: 620px }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14161a } body, td { color: #e6e8eb } .a { color: #6fb0e8 } .b { color: #f09a45 }
  .note, figcaption, th { color: #b9bdc5 } a { color: #6fb0e8 } th, td, .verdict { border-color: #3a3f47 }
}
@media print {
  :root { color-scheme: light; --ground: #fff } body, td, .note, figcaption, th { color: #000 } nav { display: none }
  body { max-width: none; margin: 0 } .scroll { overflow: visible } th, td { white-space: normal; padding: .2rem .3rem }
  .wide td:nth-child(-n+2), WRAPPED { min-width: 0 }
  figure, tr, .verdict, .picture { break-inside: avoid } h2 { break-after: avoid } table { font-size: .7rem }
}
""".replace("WRAPPED", _WRAPPED)
    + marks.STYLE
)
_HASHES = ["Fingerprint", "File digest"]
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
DUMBBELLS = (
    "Recall of each class under A (circle, blue) and B (diamond, orange), and B − A with its 95% CI, largest gain "
    f"first. {class_charts.ARROWS_LEGEND}"
)
METHODS = (
    "Verdict: two-sided exact McNemar test of accuracy at 5% for one run each (McNemar, Psychometrika 1947). For "
    "several seeds, seeds and test images count as random effects (Obuchowski and Rockette, Commun. Stat. Simul. "
    "Comput. 1995; seeds nested in models: Hillis, Statistics in Medicine 33:330, 2014), the margin over seeds "
    "(Student's t) and that over images (normal) in quadrature (Zou and Donner, Statistics in Medicine 27:1693, 2008). "
    "A model of one seed is assumed to vary between seeds as the other does. The numbers of a model are means of its "
    "seeds' numbers, never those of averaged predictions.",
    "Intervals: 95%. One run each: shares of images (accuracy, top-5 and superclass accuracy, recall) by Tango's score "
    "interval (Statistics in Medicine 1998); AUC by DeLong, DeLong and Clarke-Pearson, Biometrics 1988; others normal, "
    "from each image's influence on the number, that on macro-F1 by the jackknife within classes (Efron and Stein, "
    "Ann. Statist. 1981). A class of a single image leaves macro-F1 and macro-AUC without an interval. Several seeds: "
    "Student's t over seeds and images, as in the verdict. Those of the report's claims are clipped to the possible "
    "values.",
    "Superclass accuracy: the superclass whose classes' probabilities sum to the most is the predicted one.",
    "Claims about classes, confusion cells and pairs: mid-p McNemar (Fagerland et al., BMC Med. Res. Methodol. 2013) "
    "or DeLong tests; for several seeds as above, the variances between seeds of classes or cells shrunk towards a "
    "common value (Smyth, Stat. Appl. Genet. Mol. Biol. 2004); FDR controlled at 5% (Benjamini and Hochberg, "
    f"JRSS B 1995) among those with at least {paired.MIN_DISCORDANT} discordant images, or the most confused pairs.",
    f"Calibration: {calibration.ECE_BINS} equal-width bins (Naeini et al., AAAI 2015); temperature fitted on the "
    "validation split (Guo et al., ICML 2017). The calibration error is biased upwards, so it has no interval; Brier "
    "score (sum over classes; Brier, 1950) and log loss, proper scores and means over images, test whose probabilities "
    "are better.",
    "How often these methods err is checked by simulation: python -m cifarcore.experiments.simulation.",
)


def html_page(
    runs_a: Sequence[Run], runs_b: Sequence[Run], sides: Sides, result: Comparison, all_runs: Sequence[Run]
) -> str:
    """The page of two models, given as `reports.result.Result` holds them; the runs in `all_runs` are listed."""
    a, b = sides.a, sides.b
    split, pictures = overview.split_frame(sides), examples(sides, MAX_ROWS)
    title, listed = f"{a.title} against {b.title}", overview.run_table(all_runs, runs_a, runs_b)
    beside = [run for run in all_runs if not any(run is one for one in (*runs_a, *runs_b))]
    body = [
        f"<h1>{escape(result.verdict)}</h1>",
        f'<p><b class="a">■ A: {escape(a.title)}</b> &nbsp; <b class="b">■ B: {escape(b.title)}</b> &nbsp; '
        "a difference is always B − A</p>",
        f'<div class="verdict"><p>{escape(result.sentence)}</p></div>',
        *(f'<p class="note">{escape(note)}</p>' for note in (*result.notes, other_seeds_text(sides, beside)) if note),
        markup.section("Metrics", markup.table(overview.metric_table(sides, result))),
        markup.section(
            "Correctness on the same images",
            markup.chart(overview_charts.split_bar(split), 900),
            markup.table(overview.split_table(split)),
            f'<p class="note">By the first seed of each model. {escape(overview.severity_text((a, b)))}</p>',
            *pictures.outcomes,
        ),
        *(markup.section(title, *parts) for title, parts in decision_sections(sides, all_runs)),
        markup.section("Maps", _maps(sides)),
        markup.section(
            "Classes",
            *(_changed(sides, result, claim) for claim in ("improved", "declined")),
            markup.chart(class_charts.dumbbells(changed_class_frame(sides, result), "Recall"), 700, DUMBBELLS),
        ),
        markup.section("Superclasses", _gains(runs_a, runs_b)),
        markup.section(
            "Confusions",
            "<p>Cells of the confusion matrix, tested: images, means over seeds.</p>",
            markup.table(confusion.cell_table(result), MAX_ROWS),
            "<p>The pairs of classes most confused by both models: AUC on the images of the two.</p>",
            *(f'<p class="note">{escape(note)}</p>' for note in absent.notes((*a.runs, *b.runs), ("macro_auc",))),
            markup.table(roc.pair_table(result), MAX_ROWS),
            *_superclass_cells(result),
        ),
        markup.section(
            "Calibration",
            *_calibration(sides),
        ),
        markup.section("Learning curves", _curves((a, b), sides.names)),
        *_findings(runs_a, runs_b, all_runs),
        markup.section(
            "Suspect labels",
            "<p>Images for which every run predicts the same other class, most confident first: a hint that the "
            "label may "
            "be wrong, not a proof.</p>",
            f"<p>{escape(known.coincidence_text(coincidence((*a.runs, *b.runs))))}</p>",
            pictures.suspects,
            markup.table(disagreements.suspect_table(sides), MAX_ROWS),
        ),
        markup.section("All runs", f'<div class="wrapped">{markup.table(listed.drop(columns=_HASHES))}</div>'),
        markup.section("Methods", "".join(f"<p>{escape(method)}</p>" for method in METHODS)),
        markup.section("Appendix: fingerprints", markup.table(listed[["Run", *_HASHES]])),
    ]
    written = f"Written by cifarcore {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + with_contents("\n".join(body))
        + f'\n<p class="note">{written}</p>\n</body></html>\n'
    )
    return shown(page)  # what runs say of themselves may steer a terminal that prints it


def with_contents(body: str) -> str:
    """`body` with links to its sections before the first of them."""
    titles = re.findall("<h2>(.*?)</h2>", body)
    links = " · ".join(f'<a href="#section-{number}">{title}</a>' for number, title in enumerate(titles))
    numbers = itertools.count()
    linked = re.sub("<h2>", lambda _: f'<a id="section-{next(numbers)}"></a><h2>', body)
    return linked.replace('<a id="section-0">', f'<nav aria-label="Contents">{links}</nav>\n<a id="section-0">', 1)


def changed_class_frame(sides: Sides, result: Comparison) -> pd.DataFrame:
    """classes.class_frame of recall, largest gain first; of many classes those that change most."""
    return classes.class_frame(replace(sides, classes=classes.by_recall_change(result, MAX_CLASSES)), result, "recall")


def _superclass_cells(result: Comparison) -> list[str]:
    table = confusion.superclass_cell_table(result)
    if table.empty:
        return []
    text = "<p>Errors by superclass, tested as a family of their own (on the diagonal: errors within it).</p>"
    return [text, markup.table(table, MAX_ROWS)]


def _calibration(sides: Sides) -> list[str]:
    frame = overview.reliability_frame((sides.a, sides.b))
    return [
        *(f'<p class="note">{escape(note)}</p>' for note in absent.notes((*sides.a.runs, *sides.b.runs), ("ece",))),
        markup.chart(overview_charts.reliability(frame, sides.names), 420) + _lines(sides.a, sides.b)
        if len(frame)
        else "",
        markup.table(overview.calibration_table(sides)),
        *(f'<p class="note">{escape(note)}</p>' for note in overview.calibration_notes(sides)),
        markup.table(overview.temperature_table((sides.a, sides.b))),
    ]


def _maps(sides: Sides) -> str:
    a, b = sides.a.first, sides.b.first
    if a.tsne is None or b.tsne is None:
        return '<p class="note">The runs have no maps; cifarcore project adds them.</p>'
    rows = np.random.default_rng(0).permutation(a.n_images)[:MAX_POINTS]
    outcome = four_way(sides.pair)
    rows = rows[np.argsort([FOUR_WAYS.index(each) for each in outcome[rows]], kind="stable")]  # errors are drawn last
    outcome = outcome[rows]
    drawn = []
    for run in (a, b):
        frame = pd.DataFrame(
            {"x": run.tsne[rows, 0], "y": run.tsne[rows, 1], "outcome": [OUTCOMES[each] for each in outcome]}
        )
        drawn.append(_outcome_map(frame))
    map_sources = [str(run.meta.get("map_source") or "an unknown source") for run in (a, b)]
    sources = map_sources[0] if map_sources[0] == map_sources[1] else f"{map_sources[0]} (A) and {map_sources[1]} (B)"
    with alt.data_transformers.enable("default", max_rows=None):
        # points alone, on no ground: what is written beside them follows the reader's light or dark
        maps = alt.hconcat(*drawn, background="transparent").configure_view(stroke=None)
        picture = markup.drawn(maps, "png", 1.5)
    keys = "".join(f'<i style="background:{SPLIT_COLORS[group]}"></i>{name}' for group, name in OUTCOMES.items())
    return f'<p class="keys">{keys}</p>' + markup.image(
        picture,
        "image/png",
        f"t-SNE of the first seed of each, {a.name} (A) left and {b.name} (B) right, coloured by correctness; "
        f"made from {sources}",
    )


def _outcome_map(frame: pd.DataFrame) -> alt.Chart:
    colors = alt.Scale(domain=list(OUTCOMES.values()), range=[SPLIT_COLORS[group] for group in OUTCOMES])
    place = {"axis": None, "scale": alt.Scale(zero=False)}
    color = alt.Color("outcome:N", scale=colors, legend=None)
    chart = (
        alt.Chart(frame)
        .mark_circle(size=7, opacity=0.6)
        .encode(x=alt.X("x:Q", **place), y=alt.Y("y:Q", **place), color=color)
    )
    return chart.properties(width=420, height=420)


def _findings(runs_a: Sequence[Run], runs_b: Sequence[Run], all_runs: Sequence[Run]) -> list[str]:
    if not findings.is_about(runs_a[0]):
        return []
    table = findings_table(findings.findings(runs_a, runs_b, all_runs))
    notes = (f'<p class="note">{escape(note)}</p>' for note in seed_notes.mean_notes(runs_a, runs_b))
    wide = f'<div class="wide">{markup.table(table)}</div>'
    return [markup.section("Replication of the report's claims", *notes, wide)]


def _gains(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> str:
    table = superclass_gains(runs_a, runs_b)
    return (
        '<p class="note">The runs have no superclasses.</p>'
        if table.empty
        else markup.chart(class_charts.gains(table), 700)
    )


def _changed(sides: Sides, result: Comparison, claim: str) -> str:
    table = classes.changed_classes(sides, result, claim)
    names = [f"{name} {number(gain, '+.2f')}" for name, gain in table.itertuples(index=False)]
    if not names:
        return f"<p>Recall {claim} significantly in no class.</p>"
    n = counted(len(table), "class", "classes")
    return f"<p><b>Recall {claim} ({n}):</b> {escape(', '.join(names))}</p>"


def _curves(sides: Sequence[Side], names: tuple[str, str]) -> str:
    frame = overview.history_frame(sides)
    if frame.empty:
        return '<p class="note">The runs have no validation accuracy.</p>'
    thinned = f'<p class="note">{note}</p>' if (note := overview.history_note(sides)) else ""
    return markup.chart(overview_charts.learning_curves(frame, names), 700) + _lines(*sides) + thinned


def _lines(a: Side, b: Side) -> str:
    return lines_note(len(a.runs), len(b.runs))
