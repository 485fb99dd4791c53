"""The short form of the simulation: small test sets, few of them, the same code and bounds with room for chance."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cifarcore.experiments import simulate_seeds, simulation

SETS = 80


@pytest.fixture(scope="module")
def checks():
    patch = pytest.MonkeyPatch()
    for name, value in {"N_IMAGES": 1000, "N_CLASSES": 10, "POPULATION": 2000}.items():
        patch.setattr(simulation, name, value)
    yield list(simulation.checks(SETS))
    patch.undo()


def test_every_check_holds_but_for_chance(checks):
    assert len(checks) == 1 + 2 * len(simulation.SEED_SPREADS) + 6 + 3 + 2 * 4 + 1 + 3
    for check in checks:
        slack = 3.5 * np.sqrt(0.05 * 0.95 / SETS)
        assert check.low - slack <= check.measured <= check.high + slack, check


def test_intervals_are_not_simply_wide(checks):
    """An interval that covered always would pass one bound and fail the other."""
    covers = [check.measured for check in checks if "covers the truth" in check.name]
    assert len(covers) == 11 and np.mean(covers) < 0.985


def test_true_changes_are_found():
    rng = np.random.default_rng(0)
    right = simulation._right_or_wrong(rng, 200_000, 2, shift=0.1)
    assert right.mean(axis=1) == pytest.approx([0.6, 0.7], abs=0.005)
    assert np.corrcoef(right)[0, 1] > 0.2


def test_seeds_scatter_as_stated_and_are_right_on_average():
    rng = np.random.default_rng(0)
    accuracies = np.array([simulation._right_or_wrong(rng, 10_000, 6, 0.03).mean(axis=1) for _ in range(150)])
    assert accuracies.mean() == pytest.approx(0.6, abs=0.004)
    assert accuracies[:, :3].std(axis=1, ddof=1).mean() == pytest.approx(0.03 * 0.886, rel=0.15)  # c4 of three


def test_a_check_out_of_bounds_says_so():
    assert "NOT HELD" in str(simulation.Check("coverage", 0.9, 0.935, 0.965))
    assert "NOT HELD" not in str(simulation.Check("coverage", 0.95, 0.935, 0.965))


def test_seeds_of_a_design_scatter_around_its_accuracy():
    """Seeds by their spread, and the models' means by that of their start; B is better by the shift."""
    design = simulate_seeds.Design(3, 4, 2.0, 0.5, start=1.0, n_images=4000, accuracy=0.8)
    rng = np.random.default_rng(0)
    values = np.array([simulate_seeds.correct(rng, design, 0.05).mean(axis=1) for _ in range(600)])
    assert values[:, :3].mean() == pytest.approx(0.8, abs=0.002)
    assert values[:, 3:].mean() == pytest.approx(0.85, abs=0.002)
    noise = (0.8 * 0.2 * 0.3 / 4000) ** 0.5  # about a quarter of an image's variance is the seed's own
    within = values[:, :3].std(axis=1, ddof=1) ** 2
    assert np.sqrt(within.mean()) == pytest.approx(np.hypot(0.02, noise), rel=0.1)
    assert values[:, 3:].var(axis=1, ddof=1).mean() ** 0.5 == pytest.approx(np.hypot(0.005, noise), rel=0.2)
    covariance = np.cov(values[:, 0], values[:, 1])[0, 1]
    alone = simulate_seeds.Design(3, 4, 2.0, 0.5, n_images=4000, accuracy=0.8)
    without = np.array([simulate_seeds.correct(rng, alone).mean(axis=1) for _ in range(600)])
    assert covariance - np.cov(without[:, 0], without[:, 1])[0, 1] == pytest.approx(0.01**2, rel=0.4)


def test_satterthwaites_interval_is_welchs_where_images_bring_nothing():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(7)
    low, high = simulate_seeds.satterthwaite(values, np.zeros((7, 7)), 3)
    expected = stats.ttest_ind(values[3:], values[:3], equal_var=False).confidence_interval()
    assert (low, high) == pytest.approx((expected.low, expected.high))
    of_mean = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert simulate_seeds.satterthwaite(values, np.zeros((7, 7)), 7) == pytest.approx(of_mean)


def test_each_design_is_measured_and_stands_in_the_table(monkeypatch):
    few = (simulate_seeds.Design(3, 3, 0.3, 0.3, n_images=500), simulate_seeds.Design(2, 0, 1, n_images=500))
    monkeypatch.setattr(simulate_seeds, "DESIGNS", few)
    rows = list(simulate_seeds.table(60))
    both, alone = rows
    assert both["coverage"] == pytest.approx(1 - both["size"]) and 0.8 < both["coverage"] <= 1
    assert both["power"] > both["size"] and np.isnan(alone["power"]) and alone["half"] > both["half"] / 2
    assert rows == list(simulate_seeds.table(60))
    text = simulate_seeds.markdown(rows, 60)
    assert "Of the 2 designs whose seeds can show all that varies, " in text
    assert f"| 3 and 3 seeds, ± 0.3 and ± 0.3 points, 500 images | yes | {both['coverage']:.1%}" in text
    assert "| mean of 2 seeds, ± 1 points, 500 images | yes |" in text and "nan" not in text


def test_the_committed_table_has_all_designs_and_holds_in_most():
    """As the command wrote it; measured again here in short by the other tests."""
    text = (Path(simulate_seeds.__file__).parent / "simulation.md").read_text()
    rows = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")
        for line in text.splitlines()
        if re.match(r"\| .* seeds, ±", line)
    }
    assert set(rows) == {design.name for design in simulate_seeds.DESIGNS}
    inside = ["*" not in row[2] for row in rows.values()]
    assert np.mean(inside) > 0.5
    seen = {design.name for design in simulate_seeds.DESIGNS if design.shown_by_seeds}
    listed = "; ".join(re.findall(r"^- Too (?:low|high): (.*)", text, re.MULTILINE))
    starred = {(name, row[2].split()[0]) for name, row in rows.items() if "*" in row[2] and name in seen}
    assert set(re.findall(r"([^;]+) \(([\d.]+%)\)(?:; )?", listed)) == starred
    unused = {design.name for design in simulate_seeds.DESIGNS if not design.choosing}
    assert len(unused) >= 8 and all((rows[name][1] == "no") == (name in unused) for name in rows)


def test_the_command_writes_the_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(simulate_seeds, "DESIGNS", (simulate_seeds.Design(2, 2, 1, 1, n_images=200),))
    simulation.main(sets=5, table=tmp_path / "table.md")
    assert "2 and 2 seeds, ± 1 and ± 1 points, 200 images" in (tmp_path / "table.md").read_text()
    assert "2 and 2 seeds" in capsys.readouterr().out


def test_begun_again_it_goes_on_after_the_last_design(monkeypatch, tmp_path):
    designs = tuple(simulate_seeds.Design(2, 2, spread, 1, n_images=200) for spread in (1, 2))
    monkeypatch.setattr(simulate_seeds, "DESIGNS", designs)
    at_once, again, measured = tmp_path / "once.md", tmp_path / "again.md", []
    simulation.main(sets=5, table=at_once)

    def stopped(design, sets, rng, of=simulate_seeds.measured):
        measured.append(design)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return of(design, sets, rng)

    monkeypatch.setattr(simulate_seeds, "measured", stopped)
    with pytest.raises(KeyboardInterrupt):
        simulation.main(sets=5, table=again)
    simulation.main(sets=5, table=again)
    assert measured == [designs[0], designs[1], designs[1]] and again.read_text() == at_once.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.md", "once.md"]


def test_what_seeds_cannot_show_does_not_count_among_the_designs():
    by_name = {design.name: design.shown_by_seeds for design in simulate_seeds.DESIGNS}
    assert len(by_name) == len(simulate_seeds.DESIGNS)
    hidden = [name for name, shown in by_name.items() if not shown]
    assert all("a shared start" in name or name.startswith("1 and 1 seeds") for name in hidden) and len(hidden) == 4
    rows = [
        {"design": name, "chosen on it": "no", "coverage": 0.95 if shown else 0.5, "Satterthwaite": 0.9, "size": 0.05,
         "power": 0.5, "half": 1.0}
        for name, shown in by_name.items()
    ]  # fmt: skip
    rows[0]["coverage"] = 0.93
    text = simulate_seeds.markdown(rows, 100).replace("\n", " ")
    n = len(by_name) - 4
    said = "designs whose seeds can show all that varies, coverage lies within 93.5% to 96.5% in"
    assert f"Of the {n} {said} {n - 1} (" in text
    assert f"- Too low: {rows[0]['design']} (93.0%) - Too high: none" in text
