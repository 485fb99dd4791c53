"""What the card of an image shows of each model, against NumPy on the same runs."""

import numpy as np
import pytest
from made import made_run
from pages import TIMEOUT, write
from streamlit.testing.v1 import AppTest
from twins import Twins, official_pair

from cifarcore.app.parts import card
from cifarcore.data.known_images import known_images

A = tuple(made_run(accuracy=0.5, model="cnn", seed=seed) for seed in (0, 1))
B = tuple(made_run(accuracy=0.7, model="resnet18", seed=seed) for seed in (0, 1))
LABELS = A[0].labels
NAMES = np.array([name.replace("_", " ") for name in A[0].class_names])


def softmax(run):
    powers = np.exp(run.logits.astype(np.float64) - run.logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def card_alone(root):
    """The card that the address asks for; runs inside AppTest."""
    from pathlib import Path

    from cifarcore.app.parts import card, sidebar

    card.reopen(sidebar.choose(Path(root)))


def test_the_card_shows_each_models_own_five_most_probable_classes(folder, monkeypatch):
    write(folder, A[0], B[0])
    row = int(np.flatnonzero((A[0].predictions == LABELS) & (B[0].predictions != LABELS))[3])
    drawn = {}
    draw = card.charts.card.top_classes
    monkeypatch.setattr(
        card.charts.card, "top_classes", lambda frame, letter: drawn.update({letter: frame}) or draw(frame, letter)
    )
    app = AppTest.from_function(card_alone, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
    app.query_params["image"] = f"{A[0].sample_ids[row]:016x}-{LABELS[row]}"
    app.run()
    assert not app.exception, app.exception
    for letter, run in (("A", A[0]), ("B", B[0])):
        probability = softmax(run)[row]
        top = np.argsort(-probability)[:5]
        assert drawn[letter]["name"].tolist() == list(NAMES[top])
        assert drawn[letter]["probability"].to_numpy() == pytest.approx(probability[top], abs=1e-6)
        assert drawn[letter]["is_label"].tolist() == (top == LABELS[row]).tolist()
    said = [element.value for element in app.markdown]
    assert sum(text.startswith(":blue-badge[**A**] cnn") for text in said) == 3, "predictions, neighbours, map"
    assert [caption.value for caption in app.caption].count(card.charts.card.MAP_LEGEND) == 1
    assert any("**A**" in text and "cnn" in text and text.endswith(": correct") for text in said)
    assert any("**B**" in text and "resnet18" in text and text.endswith(": wrong") for text in said)


def test_an_image_is_marked_on_its_card_and_its_mark_taken_away(folder):
    write(folder, A[0], B[0])
    app = AppTest.from_function(card_alone, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
    address = f"{A[0].sample_ids[7]:016x}-{NAMES[LABELS[7]]}".replace("_", " ")
    app.query_params["image"] = address
    app.run()
    assert app.button(key="card-mark").label == "More like this"
    app.button(key="card-mark").click().run()
    assert app.session_state["marked-images"] == {address: A[0].class_names[LABELS[7]]}
    assert app.button(key="card-mark").label == "Marked: more like this"
    app.button(key="card-mark").click().run()
    assert app.session_state["marked-images"] == {} and app.button(key="card-mark").label == "More like this"


def test_the_card_says_what_people_found_and_shows_the_training_image(folder, monkeypatch):
    a, b = official_pair()
    write(folder, a, b)
    shown = []
    monkeypatch.setattr(card.pictures, "train_pictures", lambda: Twins())
    monkeypatch.setattr(card.st, "image", lambda url, **_: shown.append(url))
    published = known_images()
    at = published.rows_of(a.sample_ids, a.labels)
    starts = {1: "An exact duplicate is", 2: "A near duplicate is", 3: "A similar image is"}
    for row in (
        int(np.flatnonzero(published.duplicate[at] == 2)[0]),
        int(np.flatnonzero(published.duplicate[at] == 3)[0]),
        int(np.flatnonzero(published.disputed[at])[0]),
        int(np.flatnonzero((published.duplicate[at] == 0) & ~published.asked[at])[0]),
    ):
        shown.clear()
        app = AppTest.from_function(card_alone, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
        app.query_params["image"] = f"{a.sample_ids[row]:016x}-{a.labels[row]}"
        app.run()
        assert not app.exception, app.exception
        said, kind = " | ".join(element.value for element in app.caption), published.duplicate[at[row]]
        votes = published.votes[at[row]]
        assert (f"{starts.get(kind)} in the training set" in said) == (kind > 0)
        assert (f"static/{published.twin_id[at[row]]}.png" in " ".join(shown)) == (kind > 0)
        assert (
            (f"Five people\\: {votes[0]} " in said) == ("(Northcutt, Athalye and Mueller" in said) == (votes.sum() > 0)
        )
        assert ("(Barz and Denzler, Journal of Imaging 2020)" in said) == (kind > 0)
        if votes.sum():  # under the label, which they are about
            assert said.index("Five people") < said.index("Sample id")
