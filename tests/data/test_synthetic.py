import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cifarcore.data.cifar100 import fingerprint, sample_ids
from cifarcore.data.synthetic import CLASS_NAMES, SUPERCLASS_NAMES, SUPERCLASS_OF, make_synthetic
from cifarcore.errors import CifarcoreError


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic()


def test_form_is_cifar100s(dataset):
    assert dataset.name == "synthetic"
    for images, labels, n in ((dataset.x_train, dataset.y_train, 5000), (dataset.x_test, dataset.y_test, 1000)):
        assert images.shape == (n, 32, 32, 3) and images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert set(np.bincount(labels, minlength=100)) == {n // 100}
    assert dataset.n_classes == len(set(CLASS_NAMES)) == 100
    assert len(set(SUPERCLASS_NAMES)) == 20
    assert all(CLASS_NAMES[i].endswith(SUPERCLASS_NAMES[group]) for i, group in enumerate(SUPERCLASS_OF))


def test_equal_seeds_give_equal_bytes_and_others_do_not(dataset):
    again, other = make_synthetic(), make_synthetic(seed=1)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        assert np.array_equal(getattr(dataset, name), getattr(again, name))
    assert not np.array_equal(dataset.x_test, other.x_test)
    prints = {fingerprint(sample_ids(d.x_test), d.y_test) for d in (dataset, again, other)}
    assert len(prints) == 2


def test_every_image_is_its_own(dataset):
    ids = np.concatenate([sample_ids(dataset.x_train), sample_ids(dataset.x_test)])
    assert len(np.unique(ids)) == len(ids)


def test_learnable_but_not_by_a_linear_model(dataset):
    """The median colour of the middle tells the hue; a linear model sees little of shape and texture."""

    def seen(images):
        middle = np.median(images[:, 8:24, 8:24].reshape(len(images), -1, 3), axis=1)
        return np.concatenate([images[:, ::4, ::4].reshape(len(images), -1), middle], axis=1) / 255

    model = LinearDiscriminantAnalysis().fit(seen(dataset.x_train), dataset.y_train)
    predicted = model.predict(seen(dataset.x_test))
    hue = np.mean(predicted % 5 == dataset.y_test % 5)
    assert hue > 0.5  # chance: 0.2
    assert 0.03 < np.mean(predicted == dataset.y_test) < 0.5  # chance: 0.01


@pytest.mark.parametrize("sizes", [(1, 1), (250, 1001)])
def test_any_size(sizes):
    dataset = make_synthetic(*sizes)
    assert (len(dataset.x_train), len(dataset.x_test)) == sizes == (len(dataset.y_train), len(dataset.y_test))


def test_no_images_is_refused():
    with pytest.raises(CifarcoreError, match="at least 1"):
        make_synthetic(n_test=0)
