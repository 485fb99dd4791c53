"""The ROC page as a user drives it, against scikit-learn and NumPy on the run files."""

import numpy as np
import pytest
from driving import address, choose, csv_of, ids, parameters, settle
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from cifarcore.text import keyed


def pair(run, first, second):
    """p(first) / (p(first) + p(second)) on the images of both classes, and the rows of these images."""
    rows = np.flatnonzero(np.isin(run.labels, (first, second)))
    return softmax(run.logits[rows][:, [first, second]].astype(np.float64), axis=1)[:, 0], rows


def pick(page, option):
    page.get_by_role("radio", name=option, exact=True).or_(
        page.get_by_role("button", name=option, exact=True)
    ).first.click()
    settle(page)


def test_the_pair_of_both_lists_its_area_and_the_images_that_flip(visit, app):
    a, b = app.sides()
    names = [name.replace("_", " ") for name in a.first.class_names]
    page = visit(f"roc?first={names[7]}&second={names[1]}&point=20+%25")
    assert page.get_by_label("against", exact=True).input_value() == names[1]
    scores = [pair(side.first, 7, 1) for side in (a, b)]
    flipped = [(score >= 0.2) != (score >= 0.5) for score, _ in scores]
    either = flipped[0] | flipped[1]
    if either.any():
        assert ids(csv_of(page, "flips-images")) == set(a.first.sample_ids[scores[0][1][either]].tolist())
    for side, mask in zip((a, b), flipped, strict=True):
        pick(page, f"flipped by {keyed(side.letter, side.group)}")
        assert parameters(page)["flips"] == f"flipped by {side.letter}"
        if mask.any():
            assert ids(csv_of(page, "flips-images")) == set(a.first.sample_ids[scores[0][1][mask]].tolist())
        else:
            assert "No image flips" in page.locator("[data-testid=stMain]").inner_text()
    choose(page, "Class", names[2])
    assert parameters(page)["first"] == names[2]
    again = visit(address(page), elsewhere=True)
    assert again.get_by_label("Class", exact=True).input_value() == names[2]
    assert parameters(again) == parameters(page)


def test_the_slider_by_keyboard_flips_images_of_one_class_against_the_rest(visit, app):
    a, b = (side.first for side in app.sides())
    page = visit(f"roc?apart=one-vs-rest&first={a.class_names[0]}")
    slider = page.locator("[data-testid=stMain] input[type=range]")
    wanted = {"5%": 0.05, "2%": 0.02, "1%": 0.01}
    for _ in range(30):  # a key may be lost where the page is drawn anew
        if parameters(page).get("point") in wanted:
            break
        slider.press("ArrowLeft")
        settle(page)
    share = wanted[parameters(page)["point"]]
    p = [softmax(run.logits.astype(np.float64), axis=1)[:, 0] for run in (a, b)]
    flipped = np.any([(each >= share) != (each >= 0.5) for each in p], axis=0)
    assert ids(csv_of(page, "flips-images")) == set(a.sample_ids[flipped].tolist())


def test_a_pair_of_the_table_is_chosen_and_the_others_differ(visit, app):
    page = visit("roc?pairs=AUC+differs+most")
    table = page.locator(".st-key-roc-pairs canvas").first
    box = table.bounding_box()
    page.mouse.click(box["x"] + 18, box["y"] + 35 + 35 + 17)  # the check box of the second row
    settle(page)
    a, b = app.sides()
    names = [name.replace("_", " ") for name in a.first.class_names]
    chosen = [names.index(page.get_by_label(label, exact=True).input_value()) for label in ("Class", "against")]

    def gain(first, second):
        means = [
            np.mean(
                [
                    roc_auc_score(run.labels[pair(run, first, second)[1]] == first, pair(run, first, second)[0])
                    for run in side.runs
                ]
            )
            for side in (a, b)
        ]
        return abs(means[1] - means[0])

    rng = np.random.default_rng(0)
    others = [sorted(rng.choice(len(names), 2, replace=False)) for _ in range(100)]
    assert sum(gain(*other) > gain(*chosen) for other in others) <= 1  # it is the second of all


def test_macro_average_and_the_zoom_draw_other_curves(visit):
    page = visit("roc")
    chart = page.locator("[data-testid=stMain] [data-testid=stVegaLiteChart]")
    before = chart.screenshot()
    page.get_by_text("Zoom into the upper left corner").click()
    settle(page)
    zoomed = chart.screenshot()
    assert zoomed != before and parameters(page)["corner"].lower() == "true"
    pick(page, "macro-average")
    assert chart.screenshot() != zoomed and page.get_by_label("Class", exact=True).count() == 0


@pytest.mark.parametrize("width", [400, 1280])
def test_the_plots_are_squares_that_fit_and_name_their_curves(visit, app, width):
    page = visit("roc?apart=one-vs-rest")
    page.set_viewport_size({"width": width, "height": 1000})
    names = [side.group for side in app.sides()]
    for key in ("roc-plot", "roc-precision-plot"):
        plot = page.locator(f".st-key-{key} .vega-embed svg")
        frame = plot.locator(".background").first
        frame.scroll_into_view_if_needed()
        page.wait_for_function("([key, width]) => document.querySelector(`.st-key-${key} .vega-embed svg`)"
                               ".getBoundingClientRect().right <= width", arg=[key, width])  # fmt: skip
        box = frame.bounding_box()
        assert abs(box["width"] - box["height"]) < 2 and box["width"] > 200
        shown = plot.text_content()
        assert all(name in shown for name in names)
    assert page.locator("[data-testid=stMain] .role-legend").count() == 0
