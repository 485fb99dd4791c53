"""What people decide by is the same in the app, the report, a notebook and JSON: each number is looked for in all."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from made import made_run
from pages import run, text, two_models, write
from processes import ROOT

from cifarcore import compare, load_run
from cifarcore.text import interval, number, p_value

OPEN = {
    f"{key}-open": True
    for key in ("detectable", "good-enough", "flips", "abstention", "together", "known", "ranking", "metrics")
}  # fmt: skip
CHECKPOINTS = ROOT / "checkpoints"


def several_seeds():
    models = two_models(seeds=(0, 1, 2))
    return models[:3], models[3:], [made_run(model="vit", accuracy=0.66)]


def one_seed_each():
    a, b, others = several_seeds()
    return a[:1], b[:1], [*a[1:], *b[1:], *others]


def bundled():
    names = "cnn-quick-0", "resnet18-longer-0", "resnet18-quick-0"
    if not all((CHECKPOINTS / f"{name}.npz").exists() for name in names):
        pytest.skip("needs the bundled run files: run in a clone of the repository")
    a, b, other = (load_run(CHECKPOINTS / f"{name}.npz").take(np.arange(0, 10_000, 5)) for name in names)
    return [a], [b], [other]


def shown(page):
    """The text of a page of HTML, one cell or paragraph a line."""
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", "\n", page, flags=re.DOTALL))


def of_app(folder, a, b):
    query = {"A": a[0].group, "B": b[0].group, "all-pairs": "true"}
    if len(a) == 1:
        query |= {"seedA": f"seed {a[0].meta['seed']}", "seedB": f"seed {b[0].meta['seed']}"}
    app = run(folder, "overview", query, **OPEN)
    cells = (str(cell) for each in app.dataframe for cell in pd.DataFrame(each.value).to_numpy().ravel())
    return "\n".join([text(app).replace("\\", ""), *cells])


def figures(data):
    """Each number of JSON as the pages print it, by what it is of."""
    found, decided = {}, data["decisions"]
    found["detectable"] = [f"detects a true difference of {100 * decided['detectable']['difference']:.2f} points"]
    fine = decided["equivalence"]
    words = {"equivalent": "are equivalent within 1 point", "inconclusive": "points better (inconclusive)"}
    clear = fine["low"] > fine["margin"] or fine["high"] < -fine["margin"]
    otherwise = "by more than 1 point" if clear else "is at most 1 point worse than"
    points = f"95% CI {interval(100 * fine['low'], 100 * fine['high'], '+.2f')} ("
    found["margin"] = [words.get(fine["outcome"], otherwise), points]
    found["margin"] += [f"of B worse by the margin or more: {p_value(fine['p_worse'])}; of B better by"]
    changes = [decided["flips"][name] for name in ("newly wrong", "newly right", "churn")]
    found["flips"] = [f"{of['share']:.2%}" for of in changes]
    found["flips"] += [interval(of["low"], of["high"], ".2%") for of in changes]
    odds, wins = decided["flips"]["odds_ratio"], decided["flips"]["seed_wins"]
    if odds["value"] is not None:
        found["odds ratio"] = [f"{odds['value']:.2f}, 95% CI {odds['low']:.2f} to {odds['high']:.2f} (exact"]
    if wins["value"] is not None:
        found["seeds that win"] = [f"{wins['value']:.0%}, 95% CI {wins['low']:.0%} to {wins['high']:.0%}. By the "]
    area, coverage = (decided["abstention"][name] for name in ("augrc", "coverage"))
    found["abstention"] = [f"{area['a']:.4f}", f"{area['b']:.4f}", interval(area["low"], area["high"], "+.4f")]
    found["abstention"] += [f"(B) answers {coverage['b']:.1%} of images", f"(A) {coverage['a']:.1%} (B − A "]
    kappa = decided["together"]["error_consistency"]
    found["together"] = [f"{number(kappa['value'], '.3f')}, 95% CI {interval(kappa['low'], kappa['high'], '.3f')};"]
    for row in decided["together"]["combinations"]:
        found["together"].append(f"{row['accuracy']:.4f}")
        if row["difference"] is not None:
            found["together"] += [interval(100 * row["low"], 100 * row["high"], "+.2f"), p_value(row["p"] or np.nan)]
    found["models"] = []
    for row in data["models"]["pairs"]:
        found["models"] += [number(100 * row["difference"], "+.2f"), p_value(row["p"]), p_value(row["adjusted"])]
        found["models"].append(interval(100 * row["low"], 100 * row["high"], "+.2f"))
    if data["known_images"]:
        found["known images"] = [
            part
            for row in data["known_images"]["repeats"]
            for part in (number(100 * row["difference"], "+.2f"), f"{row['a']:.4f}", f"{row['b']:.4f}",
                         interval(100 * row["low"], 100 * row["high"], "+.2f"), f"{row['images']:,}")
        ]  # fmt: skip
    changed = [sum(row["claim"] == word for row in data["classes"]) for word in ("improved", "declined")]
    classes = "class" if changed[0] == 1 else "classes"
    found["classes"] = [f"ecall improved in {changed[0]} {classes} and declined in {changed[1]} (significant"]
    if data["other_seeds"]:
        seeds = data["other_seeds"]
        points = interval(100 * seeds["low"], 100 * seeds["high"], "+.2f")
        found["other seeds"] = [f"Over all of them ({seeds['seeds_a']} of A and {seeds['seeds_b']} of B) B − A is "]
        found["other seeds"] += [f"95% CI {points}, ", f"in {seeds['false_claims']:.0%} of cases"]
    return found


def rows(data):
    """Rows of tables as the pages print them, cell after cell, so that no number stands under the other model."""
    decided = data["decisions"]
    titles = {"newly wrong": "(only A correct)", "newly right": "(only B correct)", "churn": "(predictions differ)"}
    for name, title in titles.items():
        share, ends = decided["flips"][name]["share"], [decided["flips"][name][end] for end in ("low", "high")]
        yield [title, f"{share:.2%}", interval(*ends, ".2%")]
    area = decided["abstention"]["augrc"]
    change = [number(area["difference"], "+.4f"), interval(area["low"], area["high"], "+.4f"), p_value(area["p"])]
    yield ["AUGRC (lower is better)", f"{area['a']:.4f}", f"{area['b']:.4f}", *change]
    for row in decided["together"]["combinations"]:
        yield [row["what"][1:], f"{row['accuracy']:.4f}"]
    for row in data["models"]["pairs"]:
        yield [row["first"], row["second"], number(100 * row["difference"], "+.2f")]
    for row in (data["known_images"] or {"repeats": []})["repeats"]:
        yield [row["what"][1:], f"{row['a']:.4f}", f"{row['b']:.4f}", number(100 * row["difference"], "+.2f")]


def holds(lines, cells):
    """Whether the cells follow each other on these lines, the first as an ending, with at most two others between."""
    starts = [i for i, line in enumerate(lines) if line.endswith(cells[0])]
    return any(
        all(cell in lines[i : i + len(cells) + 2] for cell in cells[1:])
        and sorted(lines.index(cell, i) for cell in cells[1:]) == [lines.index(cell, i) for cell in cells[1:]]
        for i in starts
    )


@pytest.mark.parametrize("of", [several_seeds, one_seed_each, bundled])
def test_every_number_is_the_same_in_all_four(folder, of):
    a, b, others = of()
    write(folder, *a, *b, *others)
    result = compare(a, b, others=others)
    data = result.to_dict()
    pages = {"report": shown(result.html()), "notebook": shown(result._repr_html_()), "app": of_app(folder, a, b)}
    found = figures(data)
    assert len(data["models"]["pairs"]) == 3 and (of is bundled) == ("known images" in found)
    assert ("other seeds" in found) == (of is one_seed_each) and ("seeds that win" in found) == (of is several_seeds)
    for what, parts in found.items():
        for home, page in pages.items():
            assert [part for part in parts if part and part not in page] == [], (what, home)
    lines = {home: [line.strip() for line in page.splitlines() if line.strip()] for home, page in pages.items()}
    for cells in rows(data):
        assert [home for home in lines if not holds(lines[home], cells)] == [], cells
    for row in data["models"]["ranked"]:
        for home in ("report", "notebook"):
            assert holds(lines[home], [row["model"], str(row["seeds"]), f"{row['accuracy']:.4f}", row["groups"]])


def test_the_commands_report_and_json_have_all_that_is_named(tmp_path):
    import json

    from processes import invoke

    a, b, others = one_seed_each()
    write(tmp_path, *a, *b, *others)
    paths = [tmp_path / f"{run.group}-{run.meta['seed']}.npz" for run in (*a, *b, others[-1])]
    invoke("compare", *paths, "--html", tmp_path / "report.html", "--json", tmp_path / "result.json")
    written = json.loads((tmp_path / "result.json").read_text())
    assert len(written["models"]["pairs"]) == 3 and written["other_seeds"] is None
    assert "<h2>All 3 models ranked</h2>" in (tmp_path / "report.html").read_text()
    two = json.loads(compare(a, b).to_json())
    assert two["models"] is None and two["other_seeds"] is None
