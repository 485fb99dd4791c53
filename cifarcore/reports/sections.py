"""What people decide by, as pieces of a page: the sections of the report and, without charts, of a notebook's result.

Lays out what `reports.tables` say, a title and its HTML for each question.
"""

from collections.abc import Sequence

from cifarcore.evidence import abstention, equivalence
from cifarcore.evidence.known import judged, repeats
from cifarcore.reports import markup
from cifarcore.reports.charts import decisions as charts
from cifarcore.reports.charts import marks
from cifarcore.reports.charts.robustness import by_severity
from cifarcore.reports.charts.slices import forest
from cifarcore.reports.sides import Sides, lines_text
from cifarcore.reports.tables import decisions, known, models, robustness, slices
from cifarcore.reports.tables.robustness import TITLE as ROBUSTNESS
from cifarcore.runs.run import Run

Section = tuple[str, list[str]]


def decision_sections(sides: Sides, all_runs: Sequence[Run], drawn: bool = True) -> list[Section]:
    """The questions of the overview, answered for the two models, and all models of `all_runs` ranked where there are
    more than two; charts only where `drawn`.
    """
    runs, n_a = (*sides.a.runs, *sides.b.runs), len(sides.a.runs)
    fine = equivalence.equivalence(runs, n_a)
    measures, coverage = decisions.abstention_table(runs, n_a)
    curves = decisions.curve_frame(runs, n_a) if drawn else ()
    curve = charts.risk_coverage(curves, sides.names, abstention.MAX_ERROR) if len(curves) else None
    return [
        ("Statistical power", [_paragraph(decisions.detectable_text(runs, n_a))]),
        ("Can B replace A?", [_paragraph(decisions.equivalence_text(fine, sides.names))]),
        (
            "Prediction flips (churn)",
            [markup.table(decisions.flip_table(runs, n_a)), _paragraph(decisions.flip_text(runs, n_a))],
        ),
        (
            "Selective prediction (abstention)",
            [
                _paragraph(decisions.abstention_text(coverage, abstention.MAX_ERROR, sides.names)),
                "" if curve is None else markup.chart(curve, 700) + lines_note(n_a, len(runs) - n_a),
                markup.table(measures),
            ],
        ),
        (
            "Ensemble and error overlap",
            [_paragraph(decisions.together_text(runs, n_a)), markup.table(decisions.together_table(runs, n_a))],
        ),
        _slices(sides, drawn),
        *_robustness(sides, drawn),
        *_known(runs, n_a),
        *_models(all_runs, drawn),
    ]


def _slices(sides: Sides, drawn: bool) -> Section:
    search = slices.slices_of(sides)
    lacking = slices.lacking(sides)
    shown = [_note(lacking)] if lacking else []
    if search.table.empty:
        return "Slices", [*shown, _paragraph(slices.NOTHING_KNOWN)]
    paragraphs = [_paragraph(f"{name}: {sentence}") for name, sentence in slices.sentences(search)]
    chart = markup.chart(forest(slices.forest_frame(search), search.difference), 700) if drawn else ""
    table = markup.table(slices.slice_table(search).head(slices.MOST_SHOWN))
    return "Slices", [
        _paragraph(f"{slices.count_text(search)}."),
        *paragraphs,
        chart,
        table,
        _note(slices.METHOD),
        *shown,
    ]


def _robustness(sides: Sides, drawn: bool) -> list[Section]:
    """Nothing where no run was scored on corrupted images; why not where a file of them is not fit to be used."""
    why = robustness.why_not(sides)
    if why == robustness.HOW:
        return []
    if why or (compared := robustness.robustness_of(sides)) is None:
        return [(ROBUSTNESS, [_paragraph(why)])]
    chart = markup.chart(by_severity(robustness.severity_frame(compared), sides.names), 600) if drawn else ""
    summary = _paragraph(robustness.summary_text(compared, sides))
    return [
        (ROBUSTNESS, [summary, chart, markup.table(robustness.corruption_table(compared)), _note(robustness.METHOD)])
    ]


def _known(runs: Sequence[Run], n_a: int) -> list[Section]:
    if not judged(runs[0]):
        return []
    table = repeats(runs, n_a)
    shown = [_paragraph(known.repeat_text(table)), markup.table(known.repeat_table(table)), _note(known.SOURCES)]
    return [("Duplicates and disputed labels", shown)]


def _models(all_runs: Sequence[Run], drawn: bool) -> list[Section]:
    if (ranked := models.models_among(all_runs)) is None:
        return []
    chart = marks.group_rows(models.group_frame(ranked.accuracies, ranked.pairs))
    return [
        (
            f"All {len(ranked.seeds)} models ranked",
            [
                markup.table(models.model_table(ranked)),
                f'<div class="narrow">{chart}</div>' if drawn else "",
                _paragraph(models.GROUPS),
                markup.table(models.pair_table(ranked.pairs)),
            ],
        )
    ]


def lines_note(n_a: int, n_b: int) -> str:
    """Which runs a chart of a line each leaves out; nothing where it draws all."""
    return _note(text) if (text := lines_text(n_a, n_b)) else ""


def _note(text: str) -> str:
    return f'<p class="note">{markup.prose(text)}</p>'


def _paragraph(text: str) -> str:
    return f"<p>{markup.prose(text)}</p>"
