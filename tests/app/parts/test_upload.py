""" "Add a run": what is uploaded is checked, shown as it was understood, and kept under imported/ if that is wanted."""

import io
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import made_run
from PIL import Image
from processes import ROOT
from scipy.special import softmax
from streamlit.testing.v1 import AppTest

import cifarcore
from cifarcore.app.parts import upload
from cifarcore.app.parts import upload_options as options
from cifarcore.config import ImportConfig
from cifarcore.evidence.slices import columns_of
from cifarcore.runs.alignment import align
from cifarcore.runs.formats import SUFFIXES
from cifarcore.runs.importing import import_file, imported_path
from cifarcore.runs.run import load_run, save_run

TIMEOUT = 60


def show(root):
    """The page with the dialog's content on it: AppTest runs no dialog for itself."""
    from pathlib import Path

    from cifarcore.app.pages import overview
    from cifarcore.app.parts import layout, sidebar, upload
    from cifarcore.files import runs_dir

    view = sidebar.choose(Path(root))
    upload.offer(Path(root), view)
    upload.body(runs_dir(root), None if isinstance(view, sidebar.Problem) else view.a.first.path)
    layout.page_frame(overview.page, view)


@pytest.fixture
def folder(tmp_path, own_place):
    runs = tmp_path / "checkpoints"
    runs.mkdir()
    for model, accuracy in (("cnn", 0.5), ("resnet18", 0.7)):
        save_run(made_run(model=model, accuracy=accuracy), runs / f"{model}-made-0.npz")
    return runs


@pytest.fixture
def run():
    return made_run(model="theirs", accuracy=0.8)


def opened(folder):
    return AppTest.from_function(show, kwargs={"root": str(folder.parent)}, default_timeout=TIMEOUT).run()


def checked(app, uploads, answer=options.IN_FILE, **controls):
    """`uploads` by name, checked with this answer to "Which images are these?" and these other controls."""
    uploader = named(app.file_uploader, "Run files or predictions")
    for name, content in uploads.items():
        uploader.upload(name, content)
    app.run()
    if answer:
        named(app.radio, "Which images are these?").set_value(answer.label)
        app.run()
    for label, value in controls.items():
        label = options.label_of(label)
        if isinstance(value, dict):
            for name, content in value.items():
                named(app.file_uploader, label).upload(name, content)
        else:
            found = [one for kind in (app.selectbox, app.text_input, app.number_input) for one in kind]
            named(found, label).set_value(value)
    app.run()
    press(app, "Check")
    return app


def add(app, name, content, answer=options.IN_FILE, **controls):
    checked(app, {name: content}, answer, **controls)
    assert not app.error, app.error
    return press(app, "Save")


def press(app, label):
    named(app.button, label).click()
    app.run()
    assert not app.exception, app.exception
    return app


def named(elements, label):
    return next(one for one in elements if one.label == label)


def offered(elements, label):
    return [one for one in elements if one.label == label]


def literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def said(app) -> str:
    """What was understood."""
    return literal("\n".join(one.value for one in (*app.markdown, *app.caption)))


def test_each_answer_says_what_it_means_and_the_csv_what_it_holds(folder):
    app = opened(folder)
    shown = named(app.radio, "Which images are these?").proto.captions
    assert len(shown) == len(options.ANSWERS) and all(shown)
    assert "does not shuffle" in shown[options.ANSWERS.index(options.TORCHVISION)]
    assert "hash of each image's pixels" in shown[options.ANSWERS.index(options.IN_FILE)]
    assert "columns `file`, `label`, and one for each class" in "\n".join(each.value for each in app.caption)


def table(run, **columns):
    frame = pd.DataFrame(columns | dict(zip(run.class_names, softmax(run.logits.astype(float), axis=1).T, strict=True)))
    return frame.to_csv(index=False).encode()


def npy(scores) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(scores, np.float32))
    return content.getvalue()


def npz(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def kept(folder, name="theirs"):
    return load_run(folder / "imported" / f"{name}.npz")


def test_predictions_are_shown_as_understood_before_they_become_model_b(folder, run):
    content = table(run, label=run.class_names[run.labels], sample_id=run.sample_ids, confidence=0.5)
    app = checked(opened(folder), {"My model.csv": content})
    assert not app.error, app.error
    text = said(app)
    for line in (
        f"**Rows** {run.n_images:,}",
        "**Order** by the sample ids in 'sample_id'",
        f"**Classes** {run.n_classes}: {run.class_names[0]}",
        "**Labels** from 'label'",
        "**Not used** 'confidence'",
        f"**Accuracy** {run.correct.mean():.4f}",
    ):
        assert line in text, text
    examples = app.dataframe[0].value
    assert examples["True label"].tolist() == run.class_names[run.labels[:5]].tolist()
    assert examples["Image"].tolist() == [f"{i:016x}" for i in run.sample_ids[:5].tolist()]
    assert not (folder / "imported").exists() and app.selectbox(key="B").value == "resnet18-made"
    press(app, "Save")
    assert app.selectbox(key="B").value == "imported/My-model"
    assert "imported/My\\-model" in "".join(one.value for one in app.markdown)
    found = kept(folder, "My-model")
    np.testing.assert_array_equal(align(run, found).b.predictions, run.predictions)
    assert found.meta["scores"] == "log_probabilities"


def test_which_images_is_asked_before_anything_is_checked(folder, run):
    app = opened(folder)
    named(app.file_uploader, "Run files or predictions").upload("theirs.npy", npy(run.logits))
    app.run()
    question = named(app.radio, "Which images are these?")
    assert question.value is None and named(app.button, "Check").disabled
    question.set_value(options.NUMBERED.label)
    app.run()
    assert named(app.button, "Check").disabled  # the test set has no name yet
    named(app.text_input, "Test set").set_value("shop")
    app.run()
    assert not named(app.button, "Check").disabled


def test_what_cannot_be_checked_yet_says_what_is_missing(folder, run):
    app = opened(folder)
    assert named(app.button, "Check").disabled and "Choose the files first." in said(app)
    named(app.file_uploader, "Run files or predictions").upload("theirs.npy", npy(run.logits))
    app.run()
    assert named(app.button, "Check").disabled and "Say which images these are." in said(app)
    named(app.radio, "Which images are these?").set_value(options.NUMBERED.label)
    app.run()
    assert named(app.button, "Check").disabled and "Still missing: Test set." in said(app)


def test_nothing_is_kept_on_cancel_or_once_the_options_are_others(folder, run):
    content = table(run, label=run.class_names[run.labels], sample_id=run.sample_ids)
    app = checked(opened(folder), {"theirs.csv": content})
    named(app.text_input, "Model").set_value("other")
    app.run()
    assert not offered(app.button, "Save"), "what was checked is not what is asked for"
    press(app, "Check")
    assert named(app.text_input, "Save as").value == "other-0"
    press(app, "Cancel")
    assert not offered(app.button, "Save") and not (folder / "imported").exists()


def test_a_run_file_is_taken_as_it_is(folder, run, tmp_path):
    save_run(run, tmp_path / "x.npz")
    app = add(opened(folder), "x.npz", (tmp_path / "x.npz").read_bytes(), None)
    assert app.selectbox(key="B").value == "imported/x"
    assert kept(folder, "x").tsne is not None


def test_rows_in_the_order_of_another_run(folder, run):
    app = opened(folder)
    checked(app, {"theirs.npy": npy(run.logits)}, options.LIKE, like="cnn-made")
    assert named(app.selectbox, "Run").options == ["cnn-made", "resnet18-made"]  # model A's first
    press(app, "Save")
    assert app.selectbox(key="B").value == "imported/theirs"
    np.testing.assert_array_equal(kept(folder).labels, run.labels)


def test_another_run_is_named_and_none_takes_the_place_of_one_that_is_gone(folder, run):
    """Labels seldom tell: rows in the order of the first run would be taken for rows in that of the one chosen."""
    save_run(made_run(model="gone", accuracy=0.6), folder / "gone-made-0.npz")
    app = opened(folder)
    named(app.file_uploader, "Run files or predictions").upload("theirs.npy", npy(run.logits))
    app.run()
    named(app.radio, "Which images are these?").set_value(options.LIKE.label)
    app.run()
    assert "Still missing: Run." in said(app) and named(app.button, "Check").disabled
    named(app.selectbox, "Run").set_value("gone-made")
    app.run()
    assert not named(app.button, "Check").disabled
    (folder / "gone-made-0.npz").unlink()
    app.run()
    assert "Still missing: Run." in said(app) and named(app.button, "Check").disabled


def test_what_is_doubtful_is_said_before_and_with_the_new_run(folder, run):
    app = checked(opened(folder), {"theirs.npy": npy(run.logits[::-1])}, options.LIKE, like="cnn-made")
    told = said(app)
    assert "order of the rows cannot be checked" in told and "no better than chance" in told
    press(app, "Save")
    told = literal(" ".join(one.value for one in app.toast))
    assert "order of the rows cannot be checked" in told and "no better than chance" in told


def test_rows_may_be_numbered_in_a_test_set_of_a_name(folder, run):
    content = npz(logits=run.logits, labels=run.labels, class_names=run.class_names)
    add(opened(folder), "theirs.npz", content, options.NUMBERED, test_set="shop")
    found = kept(folder)
    assert found.meta["dataset"]["name"] == "shop" and found.correct.mean() == run.correct.mean()
    # it shares no image with model A, which gives way to a model of the same test set as soon as there is one
    app = opened(folder)
    add(app, "other.npz", content, options.NUMBERED, test_set="shop")
    assert (app.selectbox(key="A").value, app.selectbox(key="B").value) == ("imported/theirs", "imported/other")
    assert "Model A is now imported/theirs" in literal(app.toast[0].value)
    add(app, "alone.npz", content, options.NUMBERED, test_set="elsewhere")
    assert (app.selectbox(key="A").value, app.selectbox(key="B").value) == ("imported/alone", "imported/alone")
    assert "No other run here was scored on these images, so it is A as well" in literal(app.toast[0].value)


def test_files_beside_the_predictions(folder, run):
    order = np.random.default_rng(0).permutation(run.n_classes)
    sites = pd.DataFrame({"sample_id": run.sample_ids, "site": np.where(run.labels % 2, "north", "south")})
    content = npz(logits=run.logits[:, order], sample_ids=run.sample_ids)
    app = add(
        opened(folder), "theirs.npz", content,
        class_names={"names.txt": "\n".join(run.class_names[order]).encode()},
        labels={"true.txt": "\n".join(run.class_names[run.labels]).encode()},
        metadata={"sites.csv": sites.to_csv(index=False).encode()},
        superclasses={"kin.csv": "".join(f"{name},{name[0]}\n" for name in run.class_names).encode()},
        model="mine", preset="long", seed=3,
    )  # fmt: skip
    assert app.selectbox(key="B").value == "imported/mine-long"
    found = kept(folder, "mine-long-3")
    np.testing.assert_array_equal(align(run, found).b.predictions, run.predictions)
    assert (found.meta["model"], found.meta["seed"]) == ("mine", 3)
    assert columns_of(found)["site"].tolist() == sites["site"].tolist() and found.superclass_names is not None


def test_several_files_are_parts_of_one_run_or_seeds_of_one_model(folder, run):
    label = run.class_names[run.labels]
    parts = {}
    for rank in range(2):
        rows = np.arange(rank, run.n_images, 2)
        parts[f"rank{rank}.csv"] = table(run.take(rows), label=label[rows], sample_id=run.sample_ids[rows])
    add_all = press(checked(opened(folder), parts), "Save")
    assert add_all.selectbox(key="B").value == "imported/rank0" and kept(folder, "rank0").n_images == run.n_images
    seeds = {f"mine-{seed}.csv": table(made_run(seed=seed, accuracy=0.8), label=label, sample_id=run.sample_ids)
             for seed in (3, 11)}  # fmt: skip
    app = checked(opened(folder), seeds, files="seeds")
    assert "**mine-3**" in said(app) and "**mine-11**" in said(app) and not app.error
    press(app, "Save")
    assert app.selectbox(key="B").value == "imported/mine" and app.selectbox(key="seedB").value == "all seeds"
    assert kept(folder, "mine-11").meta["seed"] == 11


def pets(tmp_path, n=5):
    """A folder of pictures of two classes: their files, and the contents by the names that a browser gives them."""
    rng = np.random.default_rng(0)
    files = [f"{name}/{row}.png" for name in ("cat", "dog") for row in range(8, 8 + n)]
    for file in files:
        (tmp_path / "pets" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "pets" / file)
    return files, {f"pets/{file}": (tmp_path / "pets" / file).read_bytes() for file in files}


def test_pictures_of_model_as_folder_are_found_by_file(folder, tmp_path):
    files, _ = pets(tmp_path)
    labels = np.repeat([0, 1], 5)
    np.save(tmp_path / "ours.npy", np.random.default_rng(0).standard_normal((10, 2)).astype(np.float32))
    images = ImportConfig(images=str(tmp_path / "pets"), order="imagefolder")
    import_file(tmp_path / "ours.npy", imported_path(folder, "ours"), images)
    for path in folder.glob("*.npz"):
        path.unlink()
    frame = pd.DataFrame({"file": files, "cat": 0.9 - 0.8 * labels, "dog": 0.1 + 0.8 * labels})
    content = frame.sample(frac=1, random_state=0).to_csv(index=False).encode()
    add(opened(folder), "theirs.csv", content, options.LIKE, like="imported/ours")
    assert kept(folder).correct.all()


def test_a_folder_of_pictures_is_uploaded_and_shown_with_the_run(folder, tmp_path):
    files, contents = pets(tmp_path)
    labels = np.repeat([0, 1], 5)
    frame = pd.DataFrame({"file": files, "cat": 0.9 - 0.8 * labels, "dog": 0.1 + 0.8 * labels})
    content = frame.sample(frac=1, random_state=0).to_csv(index=False).encode()
    app = checked(opened(folder), {"theirs.csv": content}, options.FOLDER, images=contents)
    assert "by the names of files in 'file'" in said(app)
    press(app, "Save")
    assert kept(folder).correct.all() and kept(folder).meta["dataset"]["name"] == "pets"
    assert (folder / "imported" / "theirs.pictures.zip").is_file() or list((folder / "imported").glob("theirs*"))[1:]


def test_an_order_that_may_be_either_is_asked_for(folder, tmp_path):
    _, contents = pets(tmp_path)  # 8, 9, 10, … or 10, 11, 12, 8, 9
    scores = np.eye(2)[np.repeat([0, 1], 5)] + 0.1 * np.arange(10)[:, None]
    app = checked(opened(folder), {"theirs.npy": npy(scores)}, options.FOLDER, images=contents)
    (error,) = app.error
    assert (
        "“Order: imagefolder”, as in torchvision, Keras and Hugging Face's datasets (row 0: 'cat/10.png')"
        in literal(error.value)
    )
    assert not offered(app.button, "Save") and "--" not in error.value
    named(app.selectbox, "Order").set_value("natural")
    app.run()
    press(press(app, "Check"), "Save")
    assert kept(folder).correct.all()


@pytest.mark.parametrize("name", ["pets/../../../x.png", "/etc/x.png", "pets/cat\\..\\..\\..\\x.png", "pets/c:/x.png"])
def test_no_name_of_a_picture_leads_elsewhere(folder, tmp_path, run, name):
    _, contents = pets(tmp_path)
    contents[name] = contents["pets/cat/8.png"]
    app = checked(opened(folder), {"theirs.npy": npy(run.logits)}, options.FOLDER, images=contents)
    assert len(app.error) == 1 and "no name of a picture in a folder" in literal(app.error[0].value)


def test_a_refusal_speaks_of_the_dialogs_own_controls(folder, run):
    app = checked(opened(folder), {"theirs.npy": npy(run.logits)})
    words = literal(app.error[0].value)
    named_there = (options.TORCHVISION, options.DATA, options.LIKE, options.FOLDER, options.NUMBERED)
    assert all(f"“{one.label}”" in words for one in named_there) and "--" not in words
    # whatever flag a message may name
    modules = (Path(cifarcore.__file__).parent / "runs").glob("*.py")
    lines = [line for module in modules for line in module.read_text(encoding="utf-8").splitlines() if "--" in line]
    assert len(lines) > 8
    for line in map(options.in_dialog, lines):
        assert not re.search(r"(?<!“cifarcore import … )--[a-z]", line), line
    assert options.in_dialog("use --first-class 1, or --classes shared keeps") == (
        "use “First class: 1”, or “Classes: shared” keeps"
    )


def test_every_option_of_the_command_is_in_the_dialog(folder, run):
    app = opened(folder)
    for name in ("a.npy", "b.npy"):
        named(app.file_uploader, "Run files or predictions").upload(name, npy(run.logits))
    app.run()
    there, orders = set(), set()
    for answer in options.ANSWERS:
        named(app.radio, "Which images are these?").set_value(answer.label)
        app.run()
        kinds = (app.selectbox, app.text_input, app.number_input, app.file_uploader)
        there |= {one.label for kind in kinds for one in kind}
        orders |= {answer.order} | {each for one in offered(app.selectbox, "Order") for each in options.OF_FOLDER}
    items = fields(ImportConfig)
    assert {options.label_of(item.name) for item in items} <= there
    assert orders == set(next(item for item in items if item.name == "order").metadata["choices"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(folder, suffix):
    app = checked(opened(folder), {f"<b>x</b>[a](b){suffix}": b"nothing of the kind"})
    assert len(app.error) == 1 and "\n" not in app.error[0].value and not re.search(r"(?<!\\)[<\[]", app.error[0].value)
    assert not list((folder / "imported").glob("*")) and not list(folder.rglob("*.tmp"))
    assert app.selectbox(key="B").value == "resnet18-made" and not offered(app.button, "Save")


def test_a_name_that_is_there_is_replaced_only_when_asked(folder, run):
    save_run(made_run(), folder / "imported" / "theirs.npz")
    before = (folder / "imported" / "theirs.npz").read_bytes()
    app = checked(opened(folder), {"theirs.csv": table(run, label=run.labels, sample_id=run.sample_ids)})
    assert "exists already" in app.warning[0].value and named(app.button, "Save").disabled
    assert (folder / "imported" / "theirs.npz").read_bytes() == before
    named(app.checkbox, "Replace it").check()
    app.run()
    press(app, "Save")
    assert kept(folder).correct.mean() == run.correct.mean()


@pytest.mark.parametrize("name", ["../../x", "a/b", "/etc/x", "", "."])
def test_a_name_leads_nowhere_else(folder, run, name):
    content = table(run, label=run.labels, sample_id=run.sample_ids)
    app = checked(opened(folder), {"../../theirs.csv": content})
    field = named(app.text_input, "Save as")
    assert field.value == "theirs"
    field.set_value(name)
    app.run()
    assert "use up to 80 letters" in app.error[0].value and not offered(app.button, "Save")


def test_no_room_for_temporary_files_is_one_line(folder, run, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload, "TemporaryDirectory", full)
    app = checked(opened(folder), {"theirs.csv": table(run)})
    assert "not read: No space left on device" in literal(app.error[0].value)


def test_too_large_is_refused_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(upload, "MAX_MIB", 1)
    app = opened(folder)
    app.file_uploader[0].upload("theirs.npz", bytes(2 << 20))
    app.run()
    assert "at most 1 MB are accepted" in literal(app.error[0].value) and not offered(app.button, "Check")


def test_deleting_asks_first(folder):
    save_run(made_run(), folder / "imported" / "theirs.npz")
    app = opened(folder)
    assert not offered(app.button, "Delete it")
    named(app.selectbox, "Delete an imported run").set_value("theirs")
    app.run()
    assert (folder / "imported" / "theirs.npz").exists() and not app.exception
    press(app, "Delete it")
    assert not (folder / "imported" / "theirs.npz").exists()


def test_a_run_that_was_replaced_meanwhile_is_not_deleted(folder, run):
    save_run(made_run(), folder / "imported" / "theirs.npz")
    app = opened(folder)
    named(app.selectbox, "Delete an imported run").set_value("theirs")
    app.run()
    save_run(run, folder / "imported" / "theirs.npz")
    press(app, "Delete it")
    assert "has changed since it was shown" in literal(app.error[0].value) and kept(folder).n_images


def test_the_sidebar_has_one_button(folder):
    app = opened(folder)
    assert [one.label for one in app.sidebar.button] == ["Add a run"]


def test_the_servers_limit_is_the_dialogs():
    import tomllib

    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] == upload.MAX_MIB


def test_what_another_tab_has_put_there_since_is_not_replaced_unseen(folder, run):
    def predictions(accuracy):
        other = made_run(model="theirs", accuracy=accuracy)
        return table(other, label=other.class_names[other.labels], sample_id=other.sample_ids)

    add(opened(folder), "theirs.csv", predictions(0.3))
    first, second = (checked(opened(folder), {"theirs.csv": predictions(accuracy)}) for accuracy in (0.6, 0.9))
    for app in (first, second):
        named(app.checkbox, "Replace it").check().run()
    press(first, "Save")
    press(second, "Save")
    assert kept(folder).correct.mean() == 0.6
    box = named(second.checkbox, "Replace it")
    assert not box.value and named(second.button, "Save").disabled
    box.check().run()
    press(second, "Save")
    assert kept(folder).correct.mean() == 0.9


def test_of_seeds_that_cannot_all_be_kept_those_that_were_are_named(folder, monkeypatch):
    seeds = {
        f"theirs-{seed}.csv": table(one, label=one.class_names[one.labels], sample_id=one.sample_ids)
        for seed in (0, 1)
        for one in [made_run(model="theirs", seed=seed)]
    }
    keep = upload.importing.keep

    def full(checked, place, *more):
        if place.stem == "theirs-1":
            raise OSError(28, "No space left on device")
        return keep(checked, place, *more)

    monkeypatch.setattr(upload.importing, "keep", full)
    app = press(checked(opened(folder), seeds, files="seeds"), "Save")
    assert literal(app.error[0].value) == "only theirs-0 was saved; theirs-1 was not saved: No space left on device"
    assert sorted(path.name for path in (folder / "imported").iterdir()) == ["theirs-0.npz"]
