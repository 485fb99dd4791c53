"""`cifarcore.compare`: two models compared in a notebook or a script, shown where it stands, and written to files.

Only puts together what `comparison` computes and the reports lay out.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.data.ids import fingerprint
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import calibrated, comparison
from cifarcore.evidence.known import repeats
from cifarcore.evidence.verdict import Letter
from cifarcore.files import write_report
from cifarcore.reports import html, markup
from cifarcore.reports.charts.classes import dumbbells
from cifarcore.reports.sections import decision_sections
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.summary import compared_sides, comparison_text, grouped, markdown
from cifarcore.reports.tables import decisions, known, models, other_seeds, overview, robustness, slices
from cifarcore.runs.run import Run, checked_arrays, load_run, seed_of
from cifarcore.text import brief
from cifarcore.version import __version__

SCHEMA = 1  #: of the JSON
#: a run, the path of a run file, or several of these: the seeds of one model
Model = Run | str | PathLike[str] | Iterable[Run | str | PathLike[str]]

# a light card of its own: the charts are drawn for a light ground, and a notebook's dark style would reach its table
_STYLE = """
.cifarcore-result { background: #fff; color: #1d2127; padding: .8rem 1rem; border-radius: 8px; color-scheme: light }
.cifarcore-result * { background: transparent !important; color: inherit !important }
.cifarcore-result .scroll, .cifarcore-result .tall { overflow: auto } .cifarcore-result .tall { max-height: 480px }
.cifarcore-result table { border-collapse: collapse; font-size: .85rem }
.cifarcore-result td, .cifarcore-result th { text-align: left; white-space: nowrap; padding: .2rem .6rem }
.cifarcore-result td, .cifarcore-result th { border-bottom: 1px solid #e3e6ea }
.cifarcore-result figure { margin: .6rem 0 } .cifarcore-result img { max-width: 100% }
"""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Two models compared on the test images that all their runs share; a difference is always B minus A."""

    runs_a: Sequence[Run]  #: A's runs as given, one per seed
    runs_b: Sequence[Run]  #: B's
    sides: Sides  #: both models, their runs on the shared images
    comparison: comparison.Comparison  #: where all numbers and words come from
    others: Sequence[Run] = ()  #: runs beside these, and none of them: further seeds of the two models, other models

    @property
    def all_runs(self) -> tuple[Run, ...]:
        return (*self.runs_a, *self.runs_b, *self.others)

    @property
    def names(self) -> tuple[str, str]:
        """Of A and B, as the sentences have them."""
        return self.comparison.names

    @property
    def better(self) -> Letter:
        """The model that is more accurate by the test at 5%: "A", "B", or "" for no significant difference."""
        return self.comparison.better

    @property
    def verdict(self) -> str:
        """The same in a few words."""
        return self.comparison.verdict

    @property
    def sentence(self) -> str:
        """The verdict with its numbers and its test, and where the difference comes from."""
        return self.comparison.sentence

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers leave open, a sentence each."""
        return self.comparison.notes

    @property
    def metrics(self) -> pd.DataFrame:
        """A row for each metric (index): a, b (means over seeds), difference, low, high, std_a, std_b, p, method."""
        return self.comparison.metrics.copy()

    @property
    def classes(self) -> pd.DataFrame:
        """A row for each class: name, superclass, support; recall_, f1_, auc_ with a, b, difference, low, high; only_a,
        only_b, p, q, claim ("improved", "declined" or "", of recall, FDR controlled at 5%)."""
        return self.comparison.class_table.copy()

    @property
    def cells(self) -> pd.DataFrame:
        """The tested cells of the confusion matrix: true, predicted (indices), true_name, predicted_name, a, b,
        difference (images, means over seeds), only_a, only_b, p, q, claim ("more in B", "fewer in B" or "")."""
        return self.comparison.cells.copy()

    @property
    def superclass_cells(self) -> pd.DataFrame:
        """As `cells`, of superclasses: families of their own for errors (`errors` True) and for the diagonal with its
        correct predictions; empty without superclasses."""
        return self.comparison.superclass_cells.copy()

    @property
    def pairs(self) -> pd.DataFrame:
        """The most confused pairs of classes: first, second (indices), first_name, second_name, confused (images), a, b
        (AUC on the images of the two), difference, low, high, p, q, claim."""
        return self.comparison.pairs.copy()

    @property
    def known_images(self) -> pd.DataFrame:
        """The difference in accuracy without duplicates of training images and without disputed labels, where people
        judged these test images; columns as evidence.known.repeats."""
        return repeats([*self.sides.a.runs, *self.sides.b.runs], len(self.sides.a.runs)).copy()

    def __repr__(self) -> str:
        return comparison_text(*self.names, self.comparison)

    def _repr_html_(self) -> str:
        lines = filter(None, (*self.notes, other_seeds.other_seeds_text(self.sides, self.others)))
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in lines)
        asked = "".join(
            f"<details><summary>{escape(title)}</summary>{''.join(parts)}</details>"
            for title, parts in decision_sections(self.sides, self.all_runs, drawn=False)
        )
        chart = dumbbells(html.changed_class_frame(self.sides, self.comparison), "Recall")
        return (
            f'<style>{_STYLE}</style><div class="cifarcore-result"><p><b>{escape(self.verdict)}.</b> '
            f"{escape(self.sentence)}</p>{notes}{markup.table(self._metric_table())}{asked}"
            f'<div class="tall">{markup.chart(chart, 620, html.DUMBBELLS, follows=False)}</div></div>'
        )

    def html(self, all_runs: Sequence[Run] = ()) -> str:
        """The whole comparison as one page without script or network; lists `all_runs`, else A's, B's and `others`."""
        return html.html_page(self.runs_a, self.runs_b, self.sides, self.comparison, all_runs or self.all_runs)

    def to_html(self, path: str | PathLike[str], all_runs: Sequence[Run] = ()) -> Path:
        """Write `html` to `path`, atomically."""
        return write_report(Path(path), self.html(all_runs).encode())

    def to_dict(self) -> dict[str, Any]:
        """What `to_json` writes.

        Keys: schema (1), cifarcore (version), names, runs (of `a` and `b`: name, digest, seed, fingerprint of its test
        images, n_images), n_images (shared by all runs), better ("A", "B" or null), verdict, sentence, notes, and
        metrics, classes, cells, superclass_cells, pairs: lists of the rows of these tables, with their columns as keys;
        known_images, null but for CIFAR-100's test images: repeats (the rows of `known_images`) and suspect_labels
        (counts of evidence.known.Coincidence); slices: found (rows of evidence.slices.Slices.table), note; robustness,
        null unless both were scored on corrupted images; decisions; calibration, the rows of calibrated.compared;
        other_seeds, what further seeds imply for one seed each, and models, all of more than two ranked, with every
        pair: null but where `others` hold them. What is not known or not defined is null.
        """
        better, runs_ab = self.better or None, [*self.sides.a.runs, *self.sides.b.runs]
        names = dict(zip("ab", self.names, strict=True))
        runs = {letter: [_of_run(run) for run in side] for letter, side in (("a", self.runs_a), ("b", self.runs_b))}
        return {
            "schema": SCHEMA, "cifarcore": __version__, "names": names, "runs": runs,
            "n_images": self.sides.a.first.n_images, "better": better, "verdict": self.verdict,
            "sentence": self.sentence, "notes": list(self.notes), "metrics": _records(self.metrics.reset_index()),
            "classes": _records(self.classes), "cells": _records(self.cells),
            "superclass_cells": _records(self.superclass_cells), "pairs": _records(self.pairs),
            "slices": _finite(slices.slice_numbers(self.sides)),
            "robustness": _finite(robustness.robustness_numbers(self.sides)),
            "known_images": _finite(known.known_numbers(runs_ab, len(self.runs_a))),
            "calibration": _records(calibrated.compared([*self.sides.a.runs, *self.sides.b.runs], len(self.runs_a))),
            "decisions": _finite(decisions.decisions(runs_ab, len(self.runs_a))),
            "other_seeds": _finite(other_seeds.other_seeds_numbers(self.sides, self.others)),
            "models": _finite(models.model_numbers(models.models_among(self.all_runs))),
        }  # fmt: skip

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """`to_dict` as JSON; with a `path`, it is written there as well, atomically."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            write_report(Path(path), text.encode())
        return text

    def to_markdown(self) -> str:
        """The table of metrics as Markdown."""
        return markdown(self._metric_table())

    def to_latex(self) -> str:
        """The table of metrics as LaTeX; its lines need the package booktabs."""
        text = self._metric_table().to_latex(index=False, escape=True)
        return text.replace("±", r"$\pm$").replace("−", "$-$").replace("<", "$<$")

    def _metric_table(self) -> pd.DataFrame:
        """The overview's table of metrics, its columns called by the models' names."""
        table: pd.DataFrame = overview.metric_table(self.sides, self.comparison)
        return table.rename(
            columns={letter: f"{name} ({letter})" for letter, name in zip("AB", self.names, strict=True)}
        )


def compare(a: Model, b: Model, names: tuple[str, str] | None = None, others: Model = ()) -> Result:
    """Compare two models, A and B, on the test images that all their runs share.

    Args:
        a, b: a run, the path of a run file, or a list of these, one for each seed of the model.
        names: what A and B are called; otherwise as the runs say.
        others: runs beside these, or paths: further seeds of the two, for what they imply for one seed each, and other
            models, to rank all.

    Raises:
        CifarcoreError: one line; a side has no run, a seed twice or several models, both names are one, a file is no
            run file, the classes differ, or no image is shared.

    >>> from cifarcore import Run, compare
    >>> cat, dog = [0.9, 0.1], [0.2, 0.8]
    >>> images = dict(labels=[0, 1] * 50, class_names=["cat", "dog"], sample_ids=range(100))
    >>> a = Run.from_predictions([cat, dog] * 40 + [cat, cat] * 10, **images, model="small")
    >>> b = Run.from_predictions([cat, dog] * 50, **images, model="large")
    >>> result = compare(a, b)
    >>> result.verdict
    'large beats small by 10.0 points in accuracy'
    >>> result.metrics.loc["accuracy", ["a", "b", "difference"]].round(4).tolist()
    [0.9, 1.0, 0.1]
    """
    if names is not None and (len(names) != 2 or len(set(names)) != 2):
        raise CifarcoreError(f"names: {brief(names)}; give two that differ, of A and of B")
    return _result(_runs(a, "A", names), _runs(b, "B", names), names, _loaded(others))


def first_two(runs: Sequence[Run]) -> Result:
    """The two sides of `compared_sides`, compared. Raises CifarcoreError where there are none."""
    sides = compared_sides(runs)
    if sides is None:
        raise CifarcoreError(
            "a report compares two models and only one is named; name run files of a second one, or just two seeds"
        )
    return _result(sides.a, sides.b, None, runs)


def _result(
    runs_a: Sequence[Run], runs_b: Sequence[Run], names: tuple[str, str] | None, others: Sequence[Run]
) -> Result:
    shared = comparison.on_shared_images([*runs_a, *runs_b])
    name_a, name_b = names or (runs_a[0].group, runs_b[0].group)
    a = Side("A", name_a, tuple(shared[: len(runs_a)]))
    b = Side("B", name_b, tuple(shared[len(runs_a) :]))
    sides = Sides(a, b, 0, 0, np.arange(a.first.n_classes))
    compared = comparison.compare(runs_a, runs_b, names)
    return Result(runs_a, runs_b, sides, compared, comparison.beside([*runs_a, *runs_b], others))


def _runs(model: Model, letter: str, names: tuple[str, str] | None) -> list[Run]:
    """The runs of one side, by seed."""
    several = _loaded(model)
    if not several:
        raise CifarcoreError(f"{letter} has no run; give at least one run or run file")
    groups = grouped(several)
    if len(groups) > 1 and names is None:
        raise CifarcoreError(
            f"{letter} holds runs of {len(groups)} models ({', '.join(groups)}); give the seeds of one model, or "
            "`names` for what is compared"
        )
    return [run for runs in groups.values() for run in runs]


def _loaded(model: Model) -> list[Run]:
    several = [model] if isinstance(model, (Run, str, PathLike)) else list(model)
    for run in several:
        if isinstance(run, Run):  # a field may have been replaced, which nothing has checked
            checked_arrays(run, run.path or Path(run.name))
    return [each if isinstance(each, Run) else load_run(Path(each)) for each in several]


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "name": run.name, "digest": run.digest or None, "seed": seed_of(run.meta),
        "fingerprint": fingerprint(run.sample_ids, run.labels), "n_images": run.n_images,
    }  # fmt: skip


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries of Python's own values; None for what is no finite number."""
    values = table.replace([np.inf, -np.inf], np.nan).astype(object)
    return [
        {str(key): value for key, value in row.items()} for row in values.where(values.notna(), None).to_dict("records")
    ]


def _finite(value: Any) -> Any:
    """The same with Python's own numbers; None for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value
