"""The sidebar: which models, seeds and classes are compared, and what is said where not all can be."""

from dataclasses import replace

import numpy as np
from made import made_run
from pages import run, text, two_models, write

from cifarcore.runs.run import save_run


def test_runs_of_other_classes_say_so(folder):
    a, b = two_models()
    write(folder, a, replace(b, class_names=np.array([f"thing {i}" for i in range(10)])))
    assert "different classes" in text(run(folder, "overview"))


def test_a_partial_overlap_is_said(folder):
    a, b = two_models()
    write(folder, a, b.take(np.arange(100, 500)))
    assert "100 are only in A" in text(run(folder, "overview"))


def test_classes_counted_in_another_order_are_said_on_every_page(folder):
    a, b = two_models()
    order = np.array([1, 2, 0, *range(3, b.n_classes)])
    write(folder, a, replace(b, logits=b.logits[:, order], digest=""))
    for page in ("overview", "confusion"):
        said = [warning.value for warning in run(folder, page).warning]
        assert [each for each in said if each.startswith("Of B, the accuracy would be")], said
    write(folder, a, b)
    assert not any("another order" in warning.value for warning in run(folder, "overview").warning)


def test_a_file_that_is_no_run_file_does_not_stop_the_app(folder):
    write(folder, *two_models())
    (folder / "broken.npz").write_bytes(b"no zip")
    assert "broken" in text(run(folder, "overview"))


def test_one_seed_can_be_chosen(folder):
    runs = two_models(seeds=(0, 1))
    write(folder, *runs)
    app = run(folder, "overview", **{"metrics-open": True})
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


def test_a_run_of_which_no_seed_is_known_is_opened(folder):
    a, b = two_models()
    for one in (a, replace(b, meta=b.meta | {"seed": None})):
        save_run(one, folder / f"{one.group}.npz")
    assert "resnet18-made" in run(folder, "overview").selectbox(key="B").options


def test_a_search_without_result_leaves_the_superclass_as_chosen(folder):
    write(folder, *two_models())
    app = run(folder, "classes")
    first, second = app.multiselect(key="super").options
    app.multiselect(key="super").set_value([second]).run()
    other = app.selectbox(key="class").options
    app.multiselect(key="super").set_value([first]).run()
    left = app.selectbox(key="class").options
    app.text_input(key="search").set_value(other[0]).run()
    assert app.selectbox(key="class").options == left and f"None of these {len(left)} class names" in text(app)


def test_images_under_different_labels_are_not_said_to_be_of_one_model_only(folder):
    a, b = two_models()
    other = (b.labels + (np.arange(b.n_images) < 30)) % 10
    write(folder, a.take(np.arange(20, b.n_images)), replace(b, labels=other.astype(np.int16)))
    said = text(run(folder, "overview"))
    assert "0 are only in A, 20 only in B, and 10 in both with different labels" in said


def test_superclasses_that_differ_are_said_whichever_model_is_first(folder):
    a, b = two_models()
    own = {"superclass_names": np.array(["one", "two"]), "superclass_of": np.arange(10, dtype=np.int16) % 2}
    write(folder, a, replace(b, **own))
    for first, other in (("cnn", "resnet18"), ("resnet18", "cnn")):
        said = text(run(folder, "overview", {"A": f"{first}-made", "B": f"{other}-made"})).replace("\\", "")
        assert f"{other}-made-0: the classes are in other superclasses than those of {first}-made-0" in said
    write(folder, b)
    assert "other superclasses" not in text(run(folder, "overview"))


def test_a_later_seed_of_fewer_images_is_said(folder):
    a, b, third = *two_models(), made_run(model="resnet18", accuracy=0.7, seed=1).take(np.arange(200))
    write(folder, a, b, third)
    said = text(run(folder, "overview"))
    assert "Only the 200 images that all runs share are compared; up to 300 of a run are left out." in said


def test_images_that_only_some_of_several_seeds_have_are_counted_over_all(folder):
    """What the first seeds have in common was said of all."""
    a, other, b = made_run(), made_run(seed=1), made_run(model="resnet18", accuracy=0.7)
    write(folder, a.take(np.arange(450)), other.take(np.arange(100, 500)), b.take(np.arange(20, 500)))
    said = text(run(folder, "overview"))
    assert "Only the 350 images that all runs share are compared; up to 130 of a run are left out." in said
    assert "only in A" not in said


def test_a_visit_to_fewer_classes_leaves_no_filter(folder):
    write(folder, *two_models())
    for one in two_models(n_classes=120, n_images=600):
        save_run(replace(one, meta=one.meta | {"preset": "large"}), folder / f"{one.meta['model']}-large-0.npz")
    app = run(folder, "classes", {"A": "cnn-made", "B": "resnet18-made"})
    assert app.slider(key="hardest").value == 10
    for key, value in (("A", "cnn-large"), ("B", "resnet18-large")):
        app.selectbox(key=key).set_value(value).run()
    assert app.slider(key="hardest").value == 120 and "The filter keeps" not in text(app)
    app.slider(key="hardest").set_value(7).run()
    for key, value in (("A", "cnn-made"), ("B", "resnet18-made")):
        app.selectbox(key=key).set_value(value).run()
    assert app.slider(key="hardest").value == 7, "what was set stays"


def test_a_name_that_becomes_another_models_is_said_until_another_is_chosen(folder):
    a, b = two_models()
    write(folder, a)
    (folder / "imported").mkdir()
    nobodys = {key: b.meta[key] for key in ("dataset", "seed")} | {"imported": {}}
    save_run(replace(b, meta=nobodys), folder / "imported" / "old.npz")
    app = run(folder, "overview", {"A": "cnn-made", "B": "imported/old"})
    assert "when it was chosen" not in text(app)
    save_run(replace(a, meta=nobodys | {"model": "old"}), folder / "imported" / "old-0.npz")
    app.run()
    assert "imported/old was old.npz when it was chosen, and is old-0.npz now" in text(app).replace("\\", "")
    assert "when it was chosen" in text(app.run())
    assert "when it was chosen" not in text(app.selectbox(key="B").set_value("imported/old.npz").run())


def test_a_seed_whose_file_is_gone_and_given_by_another_is_said(folder):
    a, b, c = *two_models(), made_run(seed=1)
    write(folder, a, b, c)
    save_run(made_run(accuracy=0.8), folder / "cnn-old.npz")  # of the same model and seed: it stands alone
    app = run(folder, "overview", {"A": "cnn-made", "B": "resnet18-made"})
    (folder / "cnn-made-0.npz").unlink()
    said = text(app.run()).replace("\\", "")
    assert "cnn-made was cnn-made-0.npz when it was chosen, and is cnn-old.npz now" in said


def test_a_seed_that_is_added_or_deleted_makes_no_other_model(folder):
    write(folder, *two_models())
    app = run(folder, "overview", {"A": "cnn-made", "B": "resnet18-made"})
    write(folder, made_run(seed=1))
    assert "when it was chosen" not in text(app.run())
    (folder / "cnn-made-0.npz").unlink()
    save_run(made_run(accuracy=0.6), folder / "cnn-made-0.npz")  # evaluated again
    assert "when it was chosen" not in text(app.run())
