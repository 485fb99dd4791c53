"""Addresses of earlier versions still show the view that they named."""

import pytest
from made import made_run
from pages import run, text, two_models, write

from cifarcore.app.addresses import renamed


@pytest.mark.parametrize(
    ("page", "query", "key", "value"),
    [
        ("overview", {"split": "both wrong"}, "split", "neither"),
        ("overview", {"split": "only A"}, "split", "newly wrong"),
        ("classes", {"class": "aquarium_fish"}, "class", "aquarium fish"),
        ("disagreements", {"group": "only B right"}, "group", "only B correct"),
        ("roc", {"apart": "one-vs-rest", "point": "5 %"}, "point", "5%"),
        ("explorer", {"color": "four-way split"}, "color", "correctness"),
        ("classes", {"super": "aquatic_mammals"}, "super", ["aquatic mammals"]),
    ],
)
def test_an_old_address_shows_what_it_named(folder, page, query, key, value):
    write(folder, *two_models())
    app = run(folder, page, query)
    assert app.session_state[key] == value
    if value != "correctness":  # the default, which an address need not name
        assert app.query_params[key] in (value, [value], value[0])


def test_what_has_its_name_still_stays_as_it_is():
    assert renamed("A", "my_model") == "my_model" and renamed("list", "misclassified by A") == "misclassified by A"


def in_address(app, *keys):
    """What the address says; AppTest gives what it was begun with as lists."""
    return [value if isinstance(value := app.query_params[key], str) else value[-1] for key in keys]


def test_an_address_names_the_models_although_they_are_the_defaults(folder):
    """So that a link shows the same next year, when other runs are there."""
    write(folder, *two_models())
    app = run(folder, "classes")
    keys = ("A", "B", "seedA", "seedB")
    link = dict(zip(keys, in_address(app, *keys), strict=True))
    assert link == {"A": "cnn-made", "B": "resnet18-made", "seedA": "seed 0", "seedB": "seed 0"}
    before = text(app)
    better = [made_run(model=model, preset="best", accuracy=0.9) for model in ("cnn", "resnet18")]
    write(folder, *better, *two_models((1, 2)))
    assert text(run(folder, "classes", link)) == before
    again = run(folder, "classes")
    assert (again.session_state["A"], again.session_state["B"]) == ("cnn-best", "resnet18-best")


def test_what_is_chosen_stands_in_the_address(folder):
    write(folder, *two_models((0, 1)))
    app = run(folder, "classes", {"A": "resnet18-made", "seedA": "seed 1", "B": ""})
    assert in_address(app, "A", "seedA", "B", "seedB") == ["resnet18-made", "seed 1", "resnet18-made", "all seeds"]
    app.selectbox(key="A").set_value("cnn-made").run()
    app.selectbox(key="seedB").set_value("seed 0").run()
    assert in_address(app, "A", "seedA", "seedB") == ["cnn-made", "seed 1", "seed 0"]


def test_what_an_address_names_and_is_gone_is_said(folder):
    write(folder, *two_models((0, 1)))
    app = run(folder, "classes", {"A": "cnn-gone", "seedB": "seed 7"})
    said = [each.value for each in app.sidebar.warning]
    assert said == [
        "cnn\\-gone was not found; showing cnn\\-made.",
        "seed 7 of resnet18\\-made was not found; showing all seeds.",
    ]
    app.run()
    assert not app.sidebar.warning and in_address(app, "A") == ["cnn-made"]


def test_going_back_to_an_old_address_shows_what_it_named(folder):
    """The widget is there already, and bound to its parameter."""
    write(folder, *two_models())
    app = run(folder, "overview")
    app.query_params["split"] = "both wrong"
    app.run()
    assert not app.exception and in_address(app, "split") == ["neither"]
