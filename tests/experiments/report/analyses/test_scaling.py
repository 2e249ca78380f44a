"""Sizes and compute on the page: known laws, equal compute, savings, and what is refused."""

import json
import math
import os

import pytest

from primer.errors import UsageError
from primer.experiments.report import contents, exports
from tests.experiments.report import made_up_runs

TOKENS = made_up_runs.TOKENS


def law(size, tokens):
    return 1.69 + 406.4 / size**0.34 + 410.7 / tokens**0.28


def better(size, tokens):
    """The law with 0.8 times the compute: sizes and tokens count sqrt(1.25) times."""
    return law(size * math.sqrt(1.25), tokens * math.sqrt(1.25))


def written(path, output):
    """Returns {name: content} of the files of a report."""
    files = exports.files_of(contents.build([path]), str(output))
    return {os.path.basename(name): content for name, content in files.items()}


def parts(path, baseline=None, asymptote=None):
    report = contents.build([path], baseline, asymptote)
    assert len(report.sections) == 1
    return {part.name: part for part in report.parts[0]}


def only(part, name=None):
    (row,) = part.files[name or part.name]
    return row


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Returns a folder with three sizes at each of three budgets, of two architectures."""
    cells = [
        (int(10_000 * 4**budget * 2**place), 400 * 4**budget // 2**place)
        for budget in range(3)
        for place in range(3)
    ]
    folder = tmp_path_factory.mktemp("grid") / "runs"
    laws = {"transformer": law, "primer": better}
    return made_up_runs.sizes(folder, laws, cells, (1, 2, 3), noise=2e-4, of_seed=2e-3)


def test_sizes_with_baselines_of_their_own_have_one_law(grid, tmp_path):
    report = contents.build([grid], "architecture=transformer")
    assert len(report.sections) == 9 and not any(report.parts)
    first = report.sections[0]
    assert first.title.startswith("size=10000,steps=400: sotu") and not first.reason
    assert first.baseline == "transformer"
    assert [c.name for c in first.contenders if c.comparison] == ["primer"]
    ((joined, found),) = report.joined
    assert joined.title == "sotu, validation split, protocol stream"
    assert [part.name for part in found] == ["compute_law", "size_law", "iso_flops", "savings"]
    names = {os.path.basename(name) for name in exports.files_of(report, str(tmp_path / "r.html"))}
    assert {"compute_law.png", "size_law.csv", "differences_9.png"} <= names
    assert {"size_law_transformer.png", "size_law_primer.png"} <= names


def test_a_grid_of_sizes_and_tokens(grid):
    found = parts(grid, "architecture=transformer,size=10000,steps=400")
    assert [*found] == ["compute_law", "size_law", "iso_flops", "savings"]
    for row in found["size_law"].files["size_law"]:
        assert row["runs"] == 27 and row["groups"] == 9 and not row["remarks"]
        assert row["alpha_low"] <= 0.34 <= row["alpha_high"]
        assert row["deviation"] < 5e-3
    rows = found["iso_flops"].files["iso_flops"]
    assert len(rows) == 6 and all(row["sizes"] == 3 and row["runs"] == 9 for row in rows)
    assert set(found["iso_flops"].figures) == {"iso_flops_transformer", "iso_flops_primer"}
    assert all(part.definitions for part in found.values())


def test_the_savings_of_a_family(grid):
    found = parts(grid, "architecture=transformer,size=10000,steps=400")["savings"]
    rows = [row for row in found.files["savings"] if row["measured"]]
    assert rows and {row["baseline"] for row in rows} == {"transformer"}
    for row in rows:
        assert row["family"] == "primer" and row["low"] <= row["factor"] <= row["high"]
        assert row["factor"] == pytest.approx(1.25, rel=0.1)
        # Paired seeds: the spread of the seeds, ten times that of the noise, cancels.
        assert row["high"] / row["low"] < 1.5
    outside = [row for row in found.files["savings"] if not row["measured"]]
    assert bool(outside) == any("extrapolated" in text for text in found.sentences)


def test_a_ladder_has_a_law_of_compute_alone(tmp_path):
    def of_compute(size, tokens):
        return 2 + 40 * (6 * size * tokens) ** -0.15

    cells = [(10_000 * 2**n, 100 * 2**n) for n in range(5)]
    folder = made_up_runs.sizes(tmp_path / "runs", {"llama": of_compute}, cells)
    found = parts(folder)
    row = only(found["compute_law"])
    assert (row["family"], row["runs"], row["groups"]) == ("llama", 5, 5)
    assert (row["asymptote"], row["exponent"]) == pytest.approx((2, 0.15), rel=1e-2)
    assert row["asymptote_low"] <= 2 <= row["asymptote_high"]
    assert "cannot be told apart" in only(found["size_law"])["remarks"]
    assert "savings" not in found and "iso_flops" not in found
    pinned = only(parts(folder, asymptote=2.0)["compute_law"])
    assert pinned["asymptote"] == 2 and pinned["exponent"] == pytest.approx(0.15, rel=1e-3)
    with pytest.raises(UsageError, match="--asymptote 5: a final loss is .* nats per token"):
        parts(folder, asymptote=5.0)


def test_fewer_sizes_than_numbers_have_no_fit(tmp_path):
    folder = made_up_runs.sizes(tmp_path / "a", {"llama": law}, [(10_000, 100), (20_000, 200)])
    found = parts(folder)
    assert (
        "2 different amounts of compute, and the law has 3 numbers"
        in (only(found["compute_law"])["remarks"])
    )
    assert math.isnan(only(found["compute_law"])["exponent"])
    assert not found["compute_law"].tables and "compute_law" in found["compute_law"].figures
    assert "2 pairs of size and tokens, and the law has 5" in only(found["size_law"])["remarks"]
    one = made_up_runs.sizes(tmp_path / "b", {"llama": law}, [(10_000, 100)])
    assert parts(one) == {}


def test_of_several_rates_the_best_counts_and_no_loss_within_a_decay(tmp_path):
    for rate, loss in ((0.1, 3.0), (0.2, 3.2)):
        made_up_runs.run(
            tmp_path / f"r{rate}",
            lambda step, loss=loss: loss,
            1,
            sweep=f"size=a,learning_rate={rate}",
            parameters=1000,
        )
    for name, total in (("whole", 100), ("part", 200)):
        made_up_runs.run(
            tmp_path / name,
            lambda step: 2.8,
            1,
            sweep=f"size={name}",
            parameters=2000 * total,
            schedule="cosine_schedule",
            more_config=f"run.train_steps = {total}\n",
        )
    part = parts(str(tmp_path))["compute_law"]
    row = only(part)
    assert [one["group"] for one in part.files["compute_law_groups"]] == [
        "size=a,learning_rate=0.1",
        "size=whole",
    ]
    assert (
        "of 3 groups 2 count: of equal sizes and tokens the one with the lowest" in row["remarks"]
    )
    assert "step 100 of 200 is in the middle of cosine_schedule" in row["remarks"]
    assert row["groups"] == 2


def test_everything_is_exported(grid, tmp_path):
    files = written(grid, tmp_path / "page.html")
    page = files["page.html"].decode()
    for title in ("Loss against compute over sizes", "Sizes at equal compute", "Implied savings"):
        assert f"<h3>{title}" in page
    names = ("compute_law", "compute_law_groups", "size_law", "iso_flops", "savings")
    (section,) = json.loads(files["report.json"])["sections"]
    for name in names:
        lines = files[f"{name}.csv"].decode().splitlines()
        assert len(lines) == 1 + len(section[name]) > 1
    for name in ("compute_law", "iso_flops_primer", "iso_flops_transformer", "savings"):
        assert files[f"{name}.png"].startswith(b"\x89PNG")
    assert page.count("<img ") == sum(name.endswith(".png") for name in files)
