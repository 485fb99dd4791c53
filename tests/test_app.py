"""Every page over made run files: it runs without an exception, and says what is missing where something is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import made_run
from streamlit.testing.v1 import AppTest

from cifarcore.app import confusion, state
from cifarcore.runs import save_run

PAGES = ("overview", "classes", "confusion", "roc", "explorer", "disagreements", "findings")
# well above what a page takes, for a machine that does other things as well
TIMEOUT = 60


def show_page(name, root):
    """What streamlit_app.py does for one page; runs inside AppTest."""
    from importlib import import_module
    from pathlib import Path

    from cifarcore.app import layout, sidebar

    view = sidebar.choose(Path(root))
    layout.page_frame(import_module(f"cifarcore.app.{name}").page, view)


@pytest.fixture
def folder(tmp_path, own_place):
    """An empty folder of runs; no pictures."""
    runs = tmp_path / "checkpoints"
    runs.mkdir()
    return runs


def write(folder, *runs):
    for run in runs:
        save_run(run, folder / f"{run.group}-{run.meta['seed']}.npz")


def two_models(seeds=(0,), **options):
    return [
        made_run(model=model, accuracy=accuracy, seed=seed, **options)
        for model, accuracy in (("cnn", 0.5), ("resnet18", 0.7))
        for seed in seeds
    ]


def run(folder, page, query=None, **state):
    app = AppTest.from_function(show_page, kwargs={"name": page, "root": str(folder.parent)}, default_timeout=TIMEOUT)
    for key, value in (query or {}).items():
        app.query_params[key] = value
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def text(app) -> str:
    return "\n".join(
        str(element.value)
        for kind in ("title", "subheader", "markdown", "caption", "warning", "info")
        for element in app.get(kind)
    )


def test_the_app_itself_runs(folder, monkeypatch):
    write(folder, *two_models())
    monkeypatch.setenv("CIFARCORE_RUNS", str(folder))
    app = AppTest.from_file(str(Path(__file__).parents[1] / "streamlit_app.py"), default_timeout=TIMEOUT).run()
    assert not app.exception and "cnn-made" in app.selectbox(key="A").options


@pytest.mark.parametrize("page", PAGES)
def test_each_page_over_three_seeds(folder, page):
    write(folder, *two_models(seeds=(0, 1, 2)))
    run(folder, page)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "options",
    [
        {"maps": False, "neighbors": False, "history": False, "val": False},
        {"superclasses": False},
    ],
    ids=["nothing optional", "no superclasses"],
)
def test_each_page_over_partial_runs(folder, page, options):
    write(folder, *two_models(**options))
    run(folder, page)


@pytest.mark.parametrize("page", PAGES)
def test_no_run_files(folder, page):
    assert "cifarcore train" in text(run(folder, page))


@pytest.mark.parametrize("page", PAGES)
def test_one_model_alone(folder, page):
    write(folder, made_run())
    assert "same run" in text(run(folder, page))


def test_runs_of_other_classes_say_so(folder):
    a, b = two_models()
    write(folder, a, replace(b, class_names=np.array([f"thing {i}" for i in range(10)])))
    assert "different classes" in text(run(folder, "overview"))


def test_a_partial_overlap_is_said(folder):
    a, b = two_models()
    write(folder, a, b.take(np.arange(100, 500)))
    assert "100 are only in A" in text(run(folder, "overview"))


def test_a_file_that_is_no_run_file_does_not_stop_the_app(folder):
    write(folder, *two_models())
    (folder / "broken.npz").write_bytes(b"no zip")
    assert "broken" in text(run(folder, "overview"))


def test_the_place_of_the_pictures_says_how_to_get_them(folder):
    write(folder, *two_models())
    assert "cifarcore data" in text(run(folder, "classes"))


def test_missing_arrays_name_the_command_that_adds_them(folder):
    write(folder, *two_models(history=False, superclasses=False))
    assert "cifarcore evaluate" in text(run(folder, "overview"))
    assert "superclass" in text(run(folder, "overview"))


def test_overview_shows_the_numbers_of_the_runs(folder):
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    table = run(folder, "overview").dataframe[0].value.set_index("Metric")
    accuracy = [np.mean(run.logits.argmax(1) == run.labels) for run in runs]
    a, b = np.array(accuracy[:3]), np.array(accuracy[3:])
    assert table.loc["Accuracy", "A"] == f"{a.mean():.4f} ± {a.std(ddof=1):.4f}"
    assert table.loc["Accuracy", "B"] == f"{b.mean():.4f} ± {b.std(ddof=1):.4f}"
    assert table.loc["Accuracy", "B − A"] == f"{b.mean() - a.mean():+.4f}"


def test_a_confusion_cell_holds_the_images_of_the_models_shown(folder, monkeypatch):
    a, b = two_models()
    write(folder, a, b)
    listed = []
    monkeypatch.setattr(confusion, "gallery", lambda view, rows, *_, **__: listed.append(rows))
    app = run(folder, "confusion", {"level": "classes", "true": "beaver", "predicted": "dolphin"})
    true, predicted = (a.class_names.tolist().index(name) for name in ("beaver", "dolphin"))
    in_a, in_b = ((a.labels == true) & (one.logits.argmax(1) == predicted) for one in (a, b))
    for show, here in (("B − A", in_a | in_b), ("A", in_a), ("B", in_b)):
        app.segmented_control(key="show").set_value(show).run()
        assert sorted(listed[-1]) == np.flatnonzero(here).tolist(), show


def test_one_seed_can_be_chosen(folder):
    runs = two_models(seeds=(0, 1))
    write(folder, *runs)
    app = run(folder, "overview")
    app.selectbox(key="seedA").set_value("seed 1").run()
    table = app.dataframe[0].value.set_index("Metric")
    assert table.loc["Accuracy", "A"] == f"{np.mean(runs[1].predictions == runs[1].labels):.4f}"


def test_the_filter_leaves_the_hardest_classes_of_a_superclass(folder):
    write(folder, *two_models())
    app = run(folder, "classes")
    all_classes = app.selectbox(key="class").options
    app.slider(key="hardest").set_value(3).run()
    assert app.selectbox(key="class").options == all_classes[:3]
    app.multiselect(key="super").set_value([app.multiselect(key="super").options[0]]).run()
    assert len(app.selectbox(key="class").options) == 3
    app.text_input(key="search").set_value(app.selectbox(key="class").options[1]).run()
    assert len(app.selectbox(key="class").options) == 1
    app.text_input(key="search").set_value("no such class").run()
    assert not app.exception


def test_small_data_without_superclasses_shows_what_it_has(folder):
    def imported(run):
        return replace(run, meta={"imported": {}, "seed": 0, "scores": "logits"})

    options = {"n_classes": 3, "n_images": 60, "superclasses": False, "neighbors": False, "history": False}
    (folder / "imported").mkdir()
    for name, one in zip("ab", two_models(**options), strict=True):
        save_run(imported(one), folder / "imported" / f"{name}.npz")
    query = {"A": "imported/a", "B": "imported/nope"}
    app = run(folder, "overview", query)
    metrics = app.dataframe[0].value["Metric"].tolist()
    assert "Accuracy" in metrics and not {"Top-5 accuracy", "Superclass accuracy"} & set(metrics)
    assert "seed" not in text(app).replace("seeds and", "") and "No run imported/nope; shown instead" in text(app)
    assert "none is judged" in text(run(folder, "findings", query))
    assert "imported predictions do not hold" in text(run(folder, "disagreements", group="also in training"))


@pytest.mark.parametrize("page", PAGES)
def test_names_that_are_alike_once_shortened_stay_apart(folder, page):
    long = np.array([f"{'a name longer than any chart ' * 4}{letter}" for letter in "abcdefghij"])
    write(
        folder, *(replace(one, class_names=long, superclass_names=np.array([long[0], long[1]])) for one in two_models())
    )
    app = run(folder, page, {"level": "classes"} if page == "confusion" else None)
    if page == "classes":
        assert len(set(app.selectbox(key="class").options)) == 10


def test_a_run_of_which_no_seed_is_known_is_opened(folder):
    a, b = two_models()
    for one in (a, replace(b, meta=b.meta | {"seed": None})):
        save_run(one, folder / f"{one.group}.npz")
    assert "resnet18-made" in run(folder, "overview").selectbox(key="B").options


@pytest.mark.parametrize("without", ["A", "AB"])
def test_a_run_without_validation_split_has_no_learning_curve_and_says_so(folder, without):
    for letter, one in zip("AB", two_models(), strict=True):
        if letter in without:
            unknown = one.history | {"val_accuracy": np.full_like(one.history["val_accuracy"], np.nan)}
            one = replace(one, history=unknown, val_sample_ids=None, val_labels=None, val_logits=None)
        write(folder, one)
    said = text(run(folder, "overview"))
    assert ("These runs tell no validation accuracy" in said) == (without == "AB")
    assert ("Model A tells no validation accuracy" in said) == (without == "A")


def test_a_search_without_result_leaves_the_superclass_as_chosen(folder):
    write(folder, *two_models())
    app = run(folder, "classes")
    first, second = app.multiselect(key="super").options
    app.multiselect(key="super").set_value([second]).run()
    other = app.selectbox(key="class").options
    app.multiselect(key="super").set_value([first]).run()
    left = app.selectbox(key="class").options
    app.text_input(key="search").set_value(other[0]).run()
    assert app.selectbox(key="class").options == left and f"No name of these {len(left)} classes" in text(app)


def test_a_gallery_begins_with_its_first_page_when_it_shows_other_images(folder):
    write(folder, *two_models(n_images=3000))
    app = run(folder, "classes", {"class-wrong-page": "3"})
    assert app.session_state["class-wrong-page"] == 3  # as the address says
    app.selectbox(key="class").set_value(app.selectbox(key="class").options[1]).run()
    assert app.session_state["class-wrong-page"] == 1


def test_runs_that_name_no_model_are_not_of_one_model(folder):
    (folder / "imported").mkdir()
    for name, one in zip("abc", [*two_models(), made_run(n_images=300)], strict=True):
        save_run(replace(one, meta={"imported": {}, "seed": 0}), folder / "imported" / f"{name}.npz")
    catalog = state.find_runs(folder)
    a, b, only = state.load_sides(catalog.groups["imported/a"], catalog.groups["imported/b"], ("a", "b"))
    view = state.View(a, b, *only, None, np.arange(10), "A and B", "f1", folder.parent)
    assert state.same_models(view) == ()


def test_a_later_seed_of_fewer_images_is_said(folder):
    a, b, third = *two_models(), made_run(model="resnet18", accuracy=0.7, seed=1).take(np.arange(200))
    write(folder, a, b, third)
    said = text(run(folder, "overview"))
    assert "Compared on the 200 images that all seeds have; a file holds up to 500" in said


def test_a_visit_to_fewer_classes_leaves_no_filter(folder):
    write(folder, *two_models())
    for one in two_models(n_classes=120, n_images=600):
        save_run(replace(one, meta=one.meta | {"preset": "large"}), folder / f"{one.meta['model']}-large-0.npz")
    app = run(folder, "classes", {"A": "cnn-made", "B": "resnet18-made"})
    assert app.slider(key="hardest").value == 10
    for key, value in (("A", "cnn-large"), ("B", "resnet18-large")):
        app.selectbox(key=key).set_value(value).run()
    assert app.slider(key="hardest").value == 120 and "The filter leaves" not in text(app)
    app.slider(key="hardest").set_value(7).run()
    for key, value in (("A", "cnn-made"), ("B", "resnet18-made")):
        app.selectbox(key=key).set_value(value).run()
    assert app.slider(key="hardest").value == 7, "what was set stays"


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("classes", {"order": ""}),
        ("confusion", {"show": "", "level": "", "truesuper": "fish", "predictedsuper": "fish"}),
        ("disagreements", {"group": ""}),
        ("explorer", {"map": "", "list": ""}),
        ("roc", {"apart": "", "pairs": "", "flips": ""}),
    ],
)
def test_an_address_that_leaves_a_choice_empty_means_the_first(folder, page, query):
    write(folder, *two_models())
    assert text(run(folder, page, query)) == text(run(folder, page, {key: query[key] for key in query if query[key]}))


@pytest.mark.parametrize("page", ["overview", "explorer", "retrained", "findings"])
def test_a_file_that_says_nothing_under_its_headings_is_shown(folder, page):
    for one in two_models():
        nothing = dict.fromkeys(("config", "dataset", "versions", "maps", "parent", "retraining", "training_data"))
        write(folder, replace(one, meta=one.meta | nothing))
    run(folder, page)
