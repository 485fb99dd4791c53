"""Several files as the seeds of one model: a run each, all of them or none."""

from dataclasses import replace

import numpy as np
import pytest
from import_checks import same, write
from made import made_run
from processes import invoke

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import check
from cifarcore.runs.run import load_run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIFARCORE_RUNS", str(tmp_path / "runs"))
    return tmp_path


def seed(place, name, number):
    run = made_run(5, 60, accuracy=0.8, seed=0)
    run = run.take(np.random.default_rng(number).permutation(60))
    noisy = run.logits + np.random.default_rng(number).normal(0, 2, run.logits.shape)
    path = write(place / name, run, noisy.astype(np.float32), label=run.labels, sample_id=run.sample_ids)
    return path, run, noisy


def test_seeds_are_numbered_by_their_names(place):
    made = [seed(place, f"mine_seed{number}.csv", number) for number in (12, 3)]
    printed = invoke("import", *[path.name for path, *_ in made], "--files", "seeds")
    assert printed.count("wrote") == 2
    for number, (_, run, noisy) in zip((12, 3), made, strict=True):
        found = load_run(place / "runs" / "imported" / f"mine-{number}.npz")
        assert (found.meta["model"], found.meta["seed"]) == ("mine", number)
        same(found, replace(run, logits=noisy.astype(np.float16)))


def refused(*arguments) -> str:
    with pytest.raises(CifarcoreError) as caught:
        invoke("import", *arguments, "--files", "seeds")
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (("r18-a.csv", "r18-b.csv"), {}, [("r18", 0), ("r18", 1)]),  # 18 tells them not apart
        (("r18-a.csv", "r18-b.csv"), {"model": "r18", "seed": 5}, [("r18", 5), ("r18", 6)]),
        (("run 1.csv", "run 2.csv"), {"model": "x"}, [("x", 1), ("x", 2)]),
        (("net-01.csv", "net-1.csv"), {}, [("net", 0), ("net", 1)]),  # one number
    ],
)
def test_numbers_and_the_models_name(place, names, options, expected):
    paths = [seed(place, name, number)[0] for number, name in enumerate(names)]
    found = check(paths, ImportConfig(files="seeds", **options))
    assert [(each.run.meta["model"], each.run.meta["seed"]) for each in found] == expected
    assert len({each.name for each in found}) == 2


def test_all_or_none_are_written(place):
    paths = [str(seed(place, f"mine-{number}.csv", number)[0]) for number in range(3)]
    text = (place / "mine-2.csv").read_text().splitlines()
    (place / "mine-2.csv").write_text("\n".join(text[:-1] + [text[-2]]))
    assert "repeat an image" in refused(*paths) and not (place / "runs").exists()
    invoke("import", paths[1], "--model", "mine", "--seed", "1")
    assert "the run exists already" in refused(*paths[:2])
    assert not (place / "runs" / "imported" / "mine-0.npz").exists()
    assert "--out names one file" in refused(*paths[:2], "--out", "x.npz")


def test_files_with_nothing_in_common_need_a_name(place):
    paths = [seed(place, name, 0)[0] for name in ("seed1.csv", "seed2.csv")]
    with pytest.raises(CifarcoreError, match="no name in common; give --model NAME"):
        check(paths, ImportConfig(files="seeds"))


def test_seeds_that_are_taken_for_parts_of_one_run_are_refused(place):
    paths = [seed(place, f"mine-{number}.csv", number)[0] for number in range(2)]
    with pytest.raises(CifarcoreError, match="have different scores for this image; .*--files seeds"):
        check(paths, ImportConfig())
    for path in paths:
        lines = [line.split(",") for line in path.read_text().splitlines()]
        path.write_text("\n".join(",".join([line[0], *line[2:]]) for line in lines))  # without sample_id
    with pytest.raises(CifarcoreError, match="nothing in it says which image a row is.*--files seeds"):
        check(paths, ImportConfig(order="rows", test_set="shop"))


def test_lightnings_indices_are_no_run_of_their_own(place):
    import torch

    run = made_run(5, 58)
    torch.save(list(torch.from_numpy(run.logits.astype(np.float32)).split(5)), "predictions_0.pt")
    torch.save([[each.tolist() for each in torch.arange(58).split(5)]], "batch_indices_0.pt")
    np.save("labels.npy", run.labels)
    (place / "names.txt").write_text("\n".join(run.class_names))
    options = ImportConfig(order="rows", test_set="shop", labels="labels.npy", class_names="names.txt")
    (found,) = check([place / "batch_indices_0.pt", place / "predictions_0.pt"], options)
    assert found.run.correct.mean() == run.correct.mean()


def test_seeds_of_a_long_name_are_kept_apart(place):
    paths = [seed(place, f"mine-{number}.csv", number)[0] for number in (0, 1)]
    runs = check(paths, ImportConfig(files="seeds", model="m" * 80))
    assert len({run.name for run in runs}) == 2 and [run.run.meta["seed"] for run in runs] == [0, 1]
