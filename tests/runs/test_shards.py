"""The files of a distributed run are joined by what they say of each image; padding counts once."""

import numpy as np
import pandas as pd
import pytest
import torch
from import_checks import same, saved
from processes import invoke
from scipy.special import log_softmax, softmax

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import check, import_file
from cifarcore.runs.run import load_run

WORLD = 4


@pytest.fixture
def run(tmp_path):
    return saved(tmp_path, 58)


def rows_of(rank, n):
    """As DistributedSampler deals the images out: in turn, the first ones again at the end."""
    padded = np.arange(-(-n // WORLD) * WORLD) % n
    return padded[rank::WORLD]


def together(tmp_path, paths, **options):
    return import_file(paths, tmp_path / "out.npz", ImportConfig(**options), tmp_path / "data", overwrite=True)


def written(run, tmp_path, naming):
    noise = np.random.default_rng(0).normal(0, 1e-4, (WORLD, *run.logits.shape))
    paths = []
    for rank in range(WORLD):
        rows = rows_of(rank, run.n_images)
        scores = (run.logits + noise[rank])[rows].astype(np.float32)
        table = pd.DataFrame(dict(zip(run.class_names, scores.T, strict=True)))
        table["label"] = run.class_names[run.labels][rows]
        table[naming] = {"sample_id": run.sample_ids, "index": np.arange(run.n_images)}[naming][rows]
        paths.append(tmp_path / f"rank{rank}.csv")
        table.to_csv(paths[-1], index=False)
    return paths


@pytest.mark.parametrize("naming", ["sample_id", "index"])
def test_shares_of_a_distributed_run(run, tmp_path, naming):
    paths = written(run, tmp_path, naming)
    options = {} if naming == "sample_id" else {"like": str(tmp_path / "ours.npz")}
    for order in (paths, paths[::-1]):
        imported = together(tmp_path, order, **options)
        same(imported.run, run)
        assert imported.run.n_images == 58
        assert imported.run.meta["imported"]["file"] == order[0].name
        (checked,) = check(order, ImportConfig(**options), tmp_path / "data")
        assert (checked.name, checked.source) == (order[0].stem, order[0]), "the first file gives the name"
        assert any(note.startswith("2 rows repeat an image, as the padding") for note in imported.notes)


def test_the_command_takes_lightnings_files_of_all_processes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for rank in range(WORLD):
        rows = rows_of(rank, run.n_images)
        torch.save(list(torch.from_numpy(run.logits[rows].astype(np.float32)).split(5)), f"predictions_{rank}.pt")
        torch.save([[each.tolist() for each in torch.from_numpy(rows).split(5)]], f"batch_indices_{rank}.pt")
    names = [f"predictions_{rank}.pt" for rank in range(WORLD)]
    printed = invoke("import", *names, "--like", "ours.npz", "--out", "out.npz")
    same(load_run(tmp_path / "out.npz"), run)
    assert "2 rows repeat an image" in " ".join(printed.split())


def test_what_cannot_be_joined(run, tmp_path):
    paths = written(run, tmp_path, "sample_id")
    tables = [pd.read_csv(path, dtype={"sample_id": str}) for path in paths]

    def refusal():
        with pytest.raises(CifarcoreError) as caught:
            together(tmp_path, paths[:2])
        return str(caught.value)

    tables[1].drop(columns="sample_id").to_csv(paths[1], index=False)
    assert "rank1.csv: has sample ids where the other has none, or none" in refusal()
    tables[1].drop(columns="label").to_csv(paths[1], index=False)
    assert "rank1.csv: has labels where" in refusal()
    tables[1].rename(columns={run.class_names[0]: "yeti"}).to_csv(paths[1], index=False)
    assert "rank1.csv: has other columns than rank0.csv" in refusal()
    names = run.class_names.tolist()
    for unlike in (softmax(tables[1][names], axis=1), log_softmax(tables[1][names], axis=1)):
        tables[1].assign(**dict(zip(names, np.asarray(unlike).T, strict=True))).to_csv(paths[1], index=False)
        assert "rank1.csv: has scores of another kind (logits or probabilities) than rank0.csv" in refusal()
    pd.concat([tables[1], tables[0].iloc[:1].assign(**{run.class_names[0]: 99.0})]).to_csv(paths[1], index=False)
    assert "two files have different scores for this image" in refusal()
    for path, table in zip(paths, tables, strict=True):
        table.drop(columns="sample_id").to_csv(path, index=False)
    assert "rank0.csv: one of several files, and nothing in it says which image a row is" in refusal()
