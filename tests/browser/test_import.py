"""Models of other frameworks, imported and uploaded, end in a comparison on every page; their pictures show."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from driving import TITLES, choose, parameters, serve, settle
from PIL import Image
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100 as data
from cifarcore.data.synthetic import make_synthetic
from cifarcore.runs.importing import import_file, imported_path

N_TEST = 300
KEPT = slice(0, 12)  # classes: whole superclasses, so that each has images


def pooled(images):
    return images.reshape(len(images), 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(len(images), -1) / 255


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A folder of pictures with names of its own, and what three frameworks say of them, as files."""
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.models import squeezenet1_1

    place = tmp_path_factory.mktemp("theirs")
    drawn = make_synthetic(4000, 2500)
    few = len(drawn.class_names[KEPT])
    rows = np.flatnonzero(drawn.y_test < few)[:N_TEST]
    for row in rows:
        folder = place / "shapes" / drawn.class_names[drawn.y_test[row]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.x_test[row]).save(folder / f"{row:05d}.png")
    listed = ImageFolder(place / "shapes")
    pictures = np.stack([np.asarray(picture) for picture, _ in listed])

    train = drawn.y_train < few
    names = np.array(drawn.class_names)[drawn.y_train[train]]
    for size, name in ((None, "sklearn"), (100, "sklearn-small")):
        model = LogisticRegression(max_iter=100, tol=0.01).fit(pooled(drawn.x_train[train])[:size], names[:size])
        table = pd.DataFrame(model.predict_proba(pooled(pictures)), columns=model.classes_)
        table.insert(0, "file", [f"shapes/{path}".split("shapes/")[-1] for path, _ in listed.samples])
        table.sample(frac=1, random_state=0).to_csv(place / f"{name}.csv", index=False)

    torch.manual_seed(0)
    network = squeezenet1_1(num_classes=few)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    batch = torch.from_numpy(pictures[::3]).permute(0, 3, 1, 2) / 255
    torch.nn.functional.cross_entropy(network(batch), torch.tensor(listed.targets[::3])).backward()
    optimizer.step()
    network.eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).numpy()
    np.save(place / "torchvision.npy", logits)
    np.savez(
        place / "keras.npz",
        y_pred=softmax(logits, axis=1),
        y_true=np.eye(few)[listed.targets],
        sample_ids=data.sample_ids(pictures),
        class_names=np.array(listed.classes),
    )
    groups = {name: name.split(" ", 1)[1] for name in listed.classes}
    (place / "kin.csv").write_text("".join(f"{name},{group}\n" for name, group in groups.items()))
    return place


@pytest.fixture(scope="module")
def runs(theirs, tmp_path_factory):
    """A folder of runs in which nothing is ours."""
    folder = tmp_path_factory.mktemp("runs")
    of_folder = ImportConfig(images=str(theirs / "shapes"), superclasses=str(theirs / "kin.csv"))
    for source, scores in (("sklearn.csv", "auto"), ("torchvision.npy", "logits")):
        import_file(theirs / source, imported_path(folder, source.split(".")[0]), replace(of_folder, scores=scores))
    return folder


@pytest.fixture(scope="module")
def app(runs, tmp_path_factory):
    nothing = tmp_path_factory.mktemp("nothing")
    with serve(runs, nothing / "server.log", CIFARCORE_DATA=str(nothing)) as served:
        yield served


@pytest.fixture
def page(visit):
    return visit(elsewhere=True)


def go(page, title):
    page.locator("[data-testid=stSidebarNav] a", has_text=title).click()
    settle(page)


def shown(page) -> str:
    return page.locator("[data-testid=stMain]").inner_text()


def loaded_pictures(page, key) -> list[int]:
    """The widths of the pictures that the browser has got of the gallery `key`."""
    images = page.locator(f".st-key-{key}-tiles img")
    images.first.wait_for()
    page.wait_for_timeout(500)
    return images.evaluate_all("images => images.map(image => image.naturalWidth)")


def test_other_frameworks_end_in_a_comparison_on_every_page(page):
    assert "imported/sklearn" in shown(page) and "imported/torchvision" in shown(page)
    assert "sklearn beats torchvision" in shown(page)
    links = page.locator("[data-testid=stSidebarNav] a")
    assert links.filter(has_text="Replication").count() == 0, "the report is of CIFAR-100"
    for title in (title for title in TITLES if title != "Replication"):
        go(page, title)
        text = shown(page)
        assert "not on this machine" not in text and "cannot be compared" not in text, title
        assert page.locator("[data-testid=stMain] :is(h1, h2, h3)").count() > 0, title
    page.get_by_role("radio", name="neither").or_(page.get_by_role("button", name="neither")).first.click()
    settle(page)
    assert 32 in loaded_pictures(page, "split")
    page.locator(".st-key-split-tiles .card").first.click()
    settle(page)
    card = page.locator("[role=dialog]")
    assert "True label" in card.inner_text() and card.locator("[data-testid=stImage] img").count() == 1
    page.keyboard.press("Escape")


def opened_dialog(page):
    page.locator("[data-testid=stSidebar]").get_by_role("button", name="Add a run").click()
    page.locator("[role=dialog]").wait_for()
    settle(page)
    return page.locator("[role=dialog]")


def test_predictions_are_uploaded_ranked_and_deleted(page, theirs, runs):
    dialog = opened_dialog(page)
    # what does not fit is said, and nothing is kept
    dialog.locator("input[type=file]").first.set_input_files(theirs / "sklearn-small.csv")
    settle(page)
    dialog.get_by_text("The file names them by sample ids", exact=True).click()
    settle(page)
    dialog.get_by_role("button", name="Check", exact=True).click()
    settle(page)
    said = dialog.locator("[data-testid=stAlert]").inner_text()
    assert "the file names its pictures" in said and "“A folder of pictures”" in said
    assert not (runs / "imported" / "sklearn-small.npz").exists()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    settle(page)
    # Keras's arrays name their images
    dialog = opened_dialog(page)
    dialog.locator("input[type=file]").first.set_input_files(theirs / "keras.npz")
    settle(page)
    dialog.get_by_text("The file names them by sample ids", exact=True).click()
    settle(page)
    dialog.get_by_role("button", name="Check", exact=True).click()
    settle(page)
    assert dialog.get_by_label("Save as", exact=True).input_value() == "keras"
    dialog.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_function("location.search.includes('keras')")
    settle(page)
    assert parameters(page)["B"] == "imported/keras" and "imported/keras" in shown(page)
    # the three in one table; two rows of it become A and B
    page.locator("[data-testid=stMain]").get_by_text("All 3 models ranked").click()
    settle(page)
    table = page.locator(".st-key-ranking [data-testid=stDataFrame]")
    box = table.bounding_box()
    for row in (1, 2):
        page.mouse.click(box["x"] + 15, box["y"] + 35 * row + 17)
        settle(page)
    page.get_by_text("A imported/sklearn").first.wait_for()
    assert parameters(page)["B"] in ("imported/keras", "imported/torchvision")
    # deleting asks first
    dialog = opened_dialog(page)
    dialog.get_by_role("tab", name="Imported runs").click()
    choose(page, "Delete an imported run", "keras")
    dialog.get_by_role("button", name="Keep it").click()
    dialog.wait_for(state="hidden")
    settle(page)
    assert (runs / "imported" / "keras.npz").exists()
    dialog = opened_dialog(page)
    dialog.get_by_role("tab", name="Imported runs").click()
    choose(page, "Delete an imported run", "keras")
    dialog.get_by_role("button", name="Delete it").click()
    page.locator("[role=dialog]").wait_for(state="hidden")
    settle(page)
    assert not (runs / "imported" / "keras.npz").exists()
    assert "imported/keras" not in json.dumps(parameters(page))
