""" "Add a run" in a real browser: which images is asked, what was understood is shown, and only then a run is kept."""

import numpy as np
import pandas as pd
import pytest
from driving import choose, parameters, serve, settle
from pictures import draw

from cifarcore.config import ImportConfig
from cifarcore.runs.importing import import_file, imported_path
from cifarcore.runs.run import load_run

LIKE, FOLDER = "The images of another run", "A folder of pictures"
NUMBERED = "Rows of a test set by their numbers, without pictures"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pictures whose names have two usual orders, 10 before 8 or after it."""
    place = tmp_path_factory.mktemp("theirs")
    return draw(place / "pets", {name: [f"{i}.png" for i in range(6, 18)] for name in ("bee", "cat", "dog")})


@pytest.fixture(scope="module")
def runs(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    options = ImportConfig(images=str(made.root), order="imagefolder")
    for name, scores in (("ours", made.probabilities), ("older", made.probabilities[:, [0, 2, 1]])):
        np.save(made.root.parent / f"{name}.npy", scores)
        import_file(made.root.parent / f"{name}.npy", imported_path(folder, name), options)
    return folder


@pytest.fixture(scope="module")
def app(runs, tmp_path_factory):
    nothing = tmp_path_factory.mktemp("nothing")
    with serve(runs, nothing / "server.log", CIFARCORE_DATA=str(nothing)) as served:
        yield served


@pytest.fixture
def page(visit):
    return visit(elsewhere=True)


def dialog(page):
    """Open the dialog."""
    page.locator("[data-testid=stSidebar]").get_by_role("button", name="Add a run").click()
    shown = page.locator("[role=dialog]")
    shown.wait_for()
    settle(page)
    return shown


def give(page, shown, files, answer):
    shown.locator("input[type=file]").first.set_input_files(files)
    settle(page)
    if answer:
        shown.get_by_text(answer, exact=True).click()
        settle(page)
    if answer == LIKE:
        choose(page, "Run", "imported/ours")


def press(page, shown, name):
    shown.get_by_role("button", name=name, exact=True).click()
    settle(page)


def keep(page, shown, name):
    """Keep what was checked, and wait until the app shows it as model B."""
    shown.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_function(f"location.search.includes('{name}')")
    settle(page)
    assert parameters(page)["B"] == f"imported/{name}" and page.locator("[role=dialog]").count() == 0


def test_hard_labels_by_file(page, made, runs):
    table = pd.DataFrame({"file": made.files, "label": [made.names[c] for c in made.labels]})
    table["prediction"] = [made.names[c] for c in made.probabilities.argmax(axis=1)]
    table.sample(frac=1, random_state=0).to_csv(made.root.parent / "hard.csv", index=False)
    shown = dialog(page)
    give(page, shown, made.root.parent / "hard.csv", LIKE)
    press(page, shown, "Check")
    understood = shown.locator(".st-key-upload-understood").inner_text()
    for line in ("Rows 36", "by the names of files in 'file'", "predicted classes in 'prediction'", "Not used nothing"):
        assert line in understood, understood
    assert not (runs / "imported" / "hard.npz").exists()
    keep(page, shown, "hard")
    assert load_run(runs / "imported" / "hard.npz").correct.mean() == made.accuracy


def test_softmax_without_pictures(page, made, runs):
    np.savez(
        made.root.parent / "softmax.npz", probabilities=made.probabilities, y_true=made.labels, class_names=made.names,
        seconds=np.arange(36) * 0.1,
    )  # fmt: skip
    shown = dialog(page)
    give(page, shown, made.root.parent / "softmax.npz", NUMBERED)
    assert shown.get_by_role("button", name="Check", exact=True).is_disabled()
    shown.get_by_label("Test set", exact=True).fill("pets")
    shown.get_by_label("Test set", exact=True).press("Enter")
    settle(page)
    press(page, shown, "Check")
    understood = shown.locator(".st-key-upload-understood").inner_text()
    assert "by the place of each row" in understood and "Not used 'seconds'" in understood
    shown.get_by_role("button", name="Save", exact=True).click()
    shown.wait_for(state="hidden")
    settle(page)
    found = load_run(runs / "imported" / "softmax.npz")
    assert found.meta["dataset"]["name"] == "pets" and found.correct.mean() == made.accuracy


def test_an_ambiguous_order_is_asked_for(page, made, runs):
    shown = dialog(page)
    give(page, shown, made.root.parent / "ours.npy", FOLDER)
    shown.locator("input[webkitdirectory]").set_input_files(made.root)
    settle(page)
    press(page, shown, "Check")
    said = shown.locator("[data-testid=stAlert]").inner_text()
    assert "“Order: imagefolder”, as in torchvision, Keras and Hugging Face's datasets (row 0: 'bee/10.png')" in said
    assert shown.get_by_role("button", name="Save", exact=True).count() == 0
    box = shown.get_by_label("Order", exact=True)
    box.click()
    page.locator("[role=option]", has_text="imagefolder").click()
    settle(page)
    press(page, shown, "Check")
    shown.get_by_label("Save as", exact=True).fill("uploaded")
    shown.get_by_label("Save as", exact=True).press("Enter")
    settle(page)
    keep(page, shown, "uploaded")
    made.check(load_run(runs / "imported" / "uploaded.npz"))


def test_a_wrong_file_is_one_line_and_cancel_keeps_nothing(page, made, runs):
    before = sorted(runs.rglob("*"))
    (made.root.parent / "wrong.csv").write_text("name,remark\na,b\n")
    shown = dialog(page)
    give(page, shown, made.root.parent / "wrong.csv", LIKE)
    press(page, shown, "Check")
    alerts = shown.locator("[data-testid=stAlert]")
    assert alerts.count() == 1 and "wrong.csv: 0 columns of classes beside name, remark" in alerts.inner_text()
    shown.get_by_role("button", name="Remove wrong.csv").or_(
        shown.locator("[data-testid=stFileUploaderDeleteBtn] button")
    ).first.click()
    settle(page)
    shown.locator("input[type=file]").first.set_input_files(made.root.parent / "ours.npy")
    settle(page)
    press(page, shown, "Check")
    assert "the order of the rows cannot be checked" in shown.inner_text()
    press(page, shown, "Cancel")
    shown.wait_for(state="hidden")
    assert sorted(runs.rglob("*")) == before
    # a dialog that was left begins anew
    shown = dialog(page)
    give(page, shown, made.root.parent / "ours.npy", LIKE)
    page.keyboard.press("Escape")
    shown.wait_for(state="hidden")
    settle(page)
    shown = dialog(page)
    assert "ours.npy" not in shown.inner_text() and shown.get_by_role("button", name="Check").is_disabled()
    assert sorted(runs.rglob("*")) == before
