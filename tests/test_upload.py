"""«Add a run»: what is uploaded is checked, kept under imported/ and shown as model B, or refused in one line."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import made_run
from PIL import Image
from scipy.special import softmax
from streamlit.testing.v1 import AppTest

import cifarcore
from cifarcore.app import upload
from cifarcore.config import ImportConfig
from cifarcore.importing import import_file, run_path
from cifarcore.predictions import SUFFIXES
from cifarcore.runs import align, load_run, save_run

TIMEOUT = 60


def show(root):
    from pathlib import Path

    from cifarcore.app import layout, overview, sidebar, upload

    view = sidebar.choose(Path(root))
    upload.panel(Path(root), view)
    layout.page_frame(overview.page, view)


@pytest.fixture
def folder(tmp_path, own_place):
    runs = tmp_path / "checkpoints"
    runs.mkdir()
    for model, accuracy in (("cnn", 0.5), ("resnet18", 0.7)):
        save_run(made_run(model=model, accuracy=accuracy), runs / f"{model}-made-0.npz")
    return runs


def opened(folder):
    app = AppTest.from_function(show, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT)
    app.session_state["upload-open"] = True
    return app.run()


def add(app, name, content, images=None):
    app.file_uploader[0].upload(name, content)
    if images:
        app.selectbox(key="upload-images").set_value(images)
    app.run()
    button(app, "Check and add").click()
    app.run()
    assert not app.exception, app.exception
    return app


def button(app, label):
    return next(one for one in app.button if one.label == label)


def table(run, **columns):
    frame = pd.DataFrame(columns | dict(zip(run.class_names, softmax(run.logits.astype(float), axis=1).T, strict=True)))
    return frame.to_csv(index=False).encode()


def test_predictions_become_model_b(folder):
    run = made_run(model="theirs", accuracy=0.8)
    content = table(run, label=run.class_names[run.labels], sample_id=run.sample_ids)
    app = add(opened(folder), "My model.csv", content)
    assert not app.error, app.error
    assert app.selectbox(key="B").value == "imported/My-model"
    assert "imported/My\\-model" in "".join(one.value for one in app.markdown)
    found = load_run(folder / "imported" / "My-model.npz")
    np.testing.assert_array_equal(align(run, found).b.predictions, run.predictions)
    assert found.meta["scores"] == "log_probabilities"


def test_a_run_file_is_taken_as_it_is(folder, tmp_path):
    run = made_run(model="theirs", accuracy=0.8)
    save_run(run, tmp_path / "x.npz")
    app = add(opened(folder), "x.npz", (tmp_path / "x.npz").read_bytes(), upload.LIKE_A)
    assert app.selectbox(key="B").value == "imported/x"
    assert load_run(folder / "imported" / "x.npz").tsne is not None


def test_rows_in_the_order_of_model_a(folder):
    run = made_run(model="theirs", accuracy=0.8)
    content = io.BytesIO()
    np.save(content, run.logits.astype(np.float32))
    app = add(opened(folder), "theirs.npy", content.getvalue(), upload.LIKE_A)
    assert app.selectbox(key="B").value == "imported/theirs"
    np.testing.assert_array_equal(load_run(folder / "imported" / "theirs.npz").labels, run.labels)


def npy(scores) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(scores, np.float32))
    return content.getvalue()


def literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def test_what_is_doubtful_is_told_with_the_new_run(folder):
    run = made_run(model="theirs", accuracy=0.8)
    app = add(opened(folder), "theirs.npy", npy(run.logits[::-1]), upload.LIKE_A)
    told = literal(" ".join(one.value for one in app.toast))
    assert "the order of the rows is not checked" in told and "no better than chance" in told


def test_a_refusal_speaks_of_the_panels_own_controls(folder):
    run = made_run(model="theirs", accuracy=0.8)
    app = add(opened(folder), "theirs.npy", npy(run.logits))
    said = literal(app.error[0].value)
    assert all(f"«Rows are: {one}»" in said for one in (upload.TORCHVISION, upload.DATA, upload.LIKE_A))
    assert "«cifarcore import … --images FOLDER» in a terminal" in said and "--order" not in said
    # whatever flag a message may name
    modules = [Path(cifarcore.__file__).parent / f"{name}.py" for name in ("importing", "predictions", "class_names")]
    lines = [line for module in modules for line in module.read_text(encoding="utf-8").splitlines() if "--" in line]
    assert len(lines) > 8
    for line in map(upload.in_panel, lines):
        assert not re.search(r"(?<!«cifarcore import … )--", line), line


def test_pictures_of_model_as_folder_are_found_by_file(folder, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 5)
    files = [f"{('cat', 'dog')[label]}/{row}.png" for row, label in enumerate(labels)]
    for file in files:
        (tmp_path / "pets" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "pets" / file)
    np.save(tmp_path / "ours.npy", rng.standard_normal((10, 2)).astype(np.float32))
    first = run_path(folder, "ours")
    import_file(tmp_path / "ours.npy", first, ImportConfig(images=str(tmp_path / "pets")))
    for path in folder.glob("*.npz"):
        path.unlink()
    frame = pd.DataFrame({"file": files, "cat": 0.9 - 0.8 * labels, "dog": 0.1 + 0.8 * labels})
    content = frame.sample(frac=1, random_state=0).to_csv(index=False).encode()
    app = add(opened(folder), "theirs.csv", content, upload.LIKE_A)
    assert not app.error, app.error
    assert load_run(folder / "imported" / "theirs.npz").correct.all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(folder, suffix):
    app = add(opened(folder), f"<b>x</b>[a](b){suffix}", b"nothing of the kind")
    assert len(app.error) == 1 and "\n" not in app.error[0].value and not re.search(r"(?<!\\)[<\[]", app.error[0].value)
    assert not list((folder / "imported").glob("*")) and not list(folder.rglob("*.tmp"))
    assert app.selectbox(key="B").value == "resnet18-made"


def test_a_name_that_is_there_is_replaced_only_when_asked(folder):
    save_run(made_run(), folder / "imported" / "theirs.npz")
    before = (folder / "imported" / "theirs.npz").read_bytes()
    run = made_run(model="theirs", accuracy=0.8)
    app = opened(folder)
    app.file_uploader[0].upload("theirs.csv", table(run, label=run.labels, sample_id=run.sample_ids))
    app.run()
    assert "there already" in app.warning[0].value and button(app, "Check and add").disabled
    assert (folder / "imported" / "theirs.npz").read_bytes() == before
    app.checkbox[-1].check()
    app.run()
    button(app, "Check and add").click()
    app.run()
    assert load_run(folder / "imported" / "theirs.npz").correct.mean() == run.correct.mean()


@pytest.mark.parametrize("name", ["../../x", "a/b", "/etc/x", "", "."])
def test_a_name_leads_nowhere_else(folder, name):
    run = made_run()
    app = opened(folder)
    app.file_uploader[0].upload("../../theirs.csv", table(run, label=run.labels, sample_id=run.sample_ids))
    app.run()
    field = next(one for one in app.text_input if one.label == "Name")
    assert field.value == "theirs"
    field.set_value(name)
    app.run()
    assert "use up to 80 letters" in app.error[0].value and not [
        one for one in app.button if one.label == "Check and add"
    ]


def test_too_large_is_refused_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(upload, "MAX_MIB", 1)
    app = opened(folder)
    app.file_uploader[0].upload("theirs.npz", bytes(2 << 20))
    app.run()
    assert "at most 1 are taken" in app.error[0].value


def test_deleting_asks_first(folder):
    save_run(made_run(), folder / "imported" / "theirs.npz")
    app = opened(folder)
    app.button(key="upload-delete").click()
    app.run()
    assert (folder / "imported" / "theirs.npz").exists() and not app.exception
    assert button(app, "Delete it") and button(app, "Keep it")  # the browser test presses them


def test_the_servers_limit_is_the_pages():
    import tomllib
    from pathlib import Path

    config = tomllib.loads((Path(__file__).resolve().parents[1] / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] == upload.MAX_MIB
