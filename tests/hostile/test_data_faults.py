"""The data folder: a download that is cut off, and a cache that is damaged or holds something else."""

import numpy as np
import pytest
from hosts import Host, as_hugging_face, as_toronto, make_archive, make_small, serving
from made import made_run
from processes import cifarcore

from cifarcore.data import cifar100 as data
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import save_run

NOWHERE = "http://127.0.0.1:9"  #: nobody listens there


@pytest.fixture
def small(monkeypatch):
    """A data set of CIFAR-100's form, 600 images instead of 60,000."""
    return make_small(monkeypatch)


@pytest.fixture
def archive(small, monkeypatch):
    """`small` as torchvision's download; the second source is not there."""
    as_toronto(NOWHERE, monkeypatch)
    as_hugging_face(NOWHERE, {"test": b"", "train": b""}, monkeypatch)
    return make_archive(small, monkeypatch)


def refused(folder) -> str:
    with pytest.raises(CifarcoreError) as caught:
        data.load_cifar100(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    return str(caught.value)


@pytest.mark.parametrize("kind", ["cut early", "cut late", "error 404", "another file", "no server"])
def test_a_download_that_fails_says_so_and_the_next_one_works(archive, small, kind, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    hosts = {
        "cut early": Host({"": archive}, cut=1000),
        "cut late": Host({"": archive}, cut=len(archive) - 10),
        "error 404": Host({"": b"gone"}, status=404),
        "another file": Host({"": archive[::-1]}),
    }
    if kind in hosts:
        with serving(hosts[kind]) as address:
            as_toronto(address, monkeypatch)
            assert "could not be found" in refused(tmp_path)
        assert hosts[kind].asked == 1
    else:
        assert "could not be found" in refused(tmp_path)
    assert not (tmp_path / data.ARRAYS_FILE).exists() and data.load_test_images(tmp_path) is None
    with serving(Host({"": archive})) as address:
        as_toronto(address, monkeypatch)
        dataset = data.load_cifar100(tmp_path)
    assert np.array_equal(dataset.x_test, small["x_test"]) and np.array_equal(dataset.y_train, small["y_train"])
    assert (tmp_path / "notes.txt").read_text() == "mine" and not list(tmp_path.glob(".*tmp"))


def test_a_damaged_folder_of_torchvision_is_fetched_again(archive, small, tmp_path, monkeypatch):
    (tmp_path / data.PYTHON_FOLDER).mkdir()
    (tmp_path / data.PYTHON_FOLDER / "train").write_bytes(b"half of it")
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(archive[:5000])
    with serving(Host({"": archive})) as address:
        as_toronto(address, monkeypatch)
        assert np.array_equal(data.load_cifar100(tmp_path).x_train, small["x_train"])


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", "empty", "a pickle", "a lie", "a folder", "one array", "text"]
)
def test_a_damaged_cache_is_refused_and_offers_the_download(small, damage, tmp_path):
    path = tmp_path / data.ARRAYS_FILE
    np.savez_compressed(path, **small)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[:-500])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "a pickle":
        np.savez(path, **small | {"x_test": np.array([{}, 1], dtype=object)})
    elif damage == "a lie":
        np.savez(path, **small)
        path.write_bytes(path.read_bytes().replace(b"(100, 32, 32, 3)", b"(99999999999, 3)"))
    elif damage == "a folder":
        path.unlink()
        path.mkdir()
    elif damage == "one array":
        with path.open("wb") as file:
            np.save(file, small["x_test"])
    else:
        path.write_text("<html>404</html>")
    message = refused(tmp_path)
    assert "delete the file and run `cifarcore data` again" in message
    if damage not in ("flipped", "truncated"):  # the damage may lie in an array that the app does not read
        with pytest.raises(CifarcoreError):
            data.load_test_images(tmp_path)


@pytest.mark.parametrize("other", ["other pixels", "other labels", "unbalanced", "float", "short", "label 200"])
def test_a_cache_with_other_content_is_never_taken_for_cifar(small, other, tmp_path):
    changes = {
        "other pixels": {"x_test": small["x_test"] ^ (np.arange(100) == 5).astype(np.uint8)[:, None, None, None]},
        "other labels": {"y_test": np.roll(small["y_test"], 1)},
        "unbalanced": {"y_train": np.zeros(500, np.uint8)},
        "float": {"x_train": small["x_train"] / 255},
        "short": {"x_train": small["x_train"][:400], "y_train": small["y_train"][:400]},
        "label 200": {"y_train": np.arange(500).astype(np.uint8) % 250},
    }[other]
    np.savez(tmp_path / data.ARRAYS_FILE, **small | changes)
    assert "delete the file and run `cifarcore data` again" in refused(tmp_path)


def test_the_order_of_the_test_images_does_not_matter_and_that_of_the_training_images_does(small, tmp_path):
    turned = {name: array[::-1] for name, array in small.items()}
    np.savez(tmp_path / data.ARRAYS_FILE, **small | {name: turned[name] for name in ("x_test", "y_test")})
    assert np.array_equal(data.load_cifar100(tmp_path).y_test, turned["y_test"])
    np.savez(tmp_path / data.ARRAYS_FILE, **turned)
    assert "training images in another order" in refused(tmp_path)


def test_the_command_says_it_in_one_line(tmp_path):
    (tmp_path / data.ARRAYS_FILE).write_bytes(b"PK\x03\x04")
    done = cifarcore("data", "--data", tmp_path)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and "cannot read x_train" in done.stderr


def test_the_app_without_whole_pictures_shows_everything_else(tmp_path, monkeypatch):
    from streamlit.testing.v1 import AppTest

    (tmp_path / "checkpoints").mkdir()
    for model in ("cnn", "resnet18"):
        save_run(made_run(model=model), tmp_path / "checkpoints" / f"{model}-0.npz")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / data.ARRAYS_FILE).write_bytes(b"PK\x03\x04 damaged")
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "data"))

    def overview(root):
        from pathlib import Path

        from cifarcore.app.pages import overview
        from cifarcore.app.parts import layout, sidebar

        layout.page_frame(overview.page, sidebar.choose(Path(root)))

    app = AppTest.from_function(overview, kwargs={"root": str(tmp_path)}, default_timeout=600).run()
    assert not app.exception
    assert any("cannot read x_test" in each.value.replace("\\", "") for each in app.main.info)
