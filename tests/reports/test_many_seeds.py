"""Many seeds of a model: what is drawn of each is of some of them, and says so."""

from made import made_run
from pages import side

from cifarcore.evidence import abstention
from cifarcore.reports import markup
from cifarcore.reports.charts import decisions as charts
from cifarcore.reports.sections import lines_note
from cifarcore.reports.sides import lines_text
from cifarcore.reports.tables import decisions, overview


def seeds(n, model="cnn", accuracy=0.5):
    return [made_run(model=model, accuracy=accuracy, seed=seed, maps=False, neighbors=False) for seed in range(n)]


def test_the_curves_of_more_seeds_than_the_charts_library_takes_rows_for_are_drawn():
    runs = [*seeds(14), *seeds(3, "resnet18", 0.7)]
    curves = decisions.curve_frame(runs, 14)
    assert len(curves) > 5000 and dict(curves.groupby("model")["run"].nunique()) == {"A": 12, "B": 3}
    assert "<img" in markup.chart(charts.risk_coverage(curves, ("a", "b"), abstention.MAX_ERROR), 700)
    sides = (side("A", *runs[:14]), side("B", *runs[14:]))
    for frame in (overview.history_frame(sides), overview.reliability_frame(sides)):
        assert dict(frame.groupby("model")["run"].nunique()) == {"A": 12, "B": 3}


def test_what_is_left_out_of_the_drawing_is_said():
    said = "Drawn are the first 12 of the 14 of A and of the 13 of B; the numbers are of all."
    assert lines_text(14, 13) == said and said in lines_note(14, 13)
    assert lines_text(12, 1) == lines_note(12, 12) == ""
