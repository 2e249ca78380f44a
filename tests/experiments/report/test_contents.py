"""Runs, groups and sections of a report: what is compared with what, and what is refused."""

import math

import pytest

from primer.errors import UsageError
from primer.experiments.report import (
    baselines,
    contents,
    directories,
    exports,
    figures,
    finals,
    settings,
)
from tests.experiments.report import made_up_runs


def table(report, number=0):
    return {row["group"]: row for row in finals.rows(report.sections[number])}


def test_a_sweep_is_grouped_by_all_but_the_seed(tmp_path):
    folder = made_up_runs.sweep(tmp_path / "runs", {"transformer": 4.3, "primer": 4.2})
    report = contents.build([folder], "transformer")
    rows = table(report)
    assert list(rows) == ["primer", "transformer"] and not report.remarks
    primer, base = rows["primer"], rows["transformer"]
    assert primer["seeds"] == primer["common_seeds"] == 5
    assert primer["step"] == 100 and primer["tokens"] == 102_400 and primer["flops"] == 102_400_000
    assert primer["seconds"] == 2000
    losses = [
        [made_up_runs.loss_at(100, final, seed) for seed in range(1, 6)] for final in (4.2, 4.3)
    ]
    expected = sum(own - other for own, other in zip(*losses)) / 5
    assert primer["difference"] == pytest.approx(expected) and primer["result"] == "better"
    assert base["result"] == "baseline" and math.isnan(base["difference"])
    assert base["loss"] == pytest.approx(sum(losses[1]) / 5)
    assert report.settings == {"attention": {"primer": "@primer", "transformer": "@transformer"}}


def test_directories_are_grouped_by_their_gin_settings(tmp_path):
    for seed in (3, 8):
        made_up_runs.run(tmp_path / f"mha_s{seed}", 4.3, seed)
        made_up_runs.run(tmp_path / f"mdha_s{seed}", 4.2, seed, attention="MDHA")
    paths = [str(tmp_path / name) for name in ("mha_s3", "mdha_s3", "mha_s8", "mdha_s8")]
    rows = table(contents.build([*paths, paths[0]]))
    assert {name: row["seeds"] for name, row in rows.items()} == {"mha": 2, "mdha": 2}
    assert rows["mha"]["result"] == "baseline"
    made_up_runs.run(tmp_path / "again", 4.3, 3)
    with pytest.raises(UsageError, match="mha_s3 and .*again have the same settings and the seed"):
        contents.build([*paths, str(tmp_path / "again")])


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"protocol": "packed"}, "the protocol is stream and packed"),
        ({"split": "test"}, "the split is validation and test"),
        ({"bytes": 758_000}, "the texts have 758,194 and 758,000 bytes"),
        ({"window": 64}, "the window is 128 and 64"),
        ({"not_as_trained": "epsilon 1 -> 2"}, "the not as trained is none and epsilon"),
        ({"activation_dtype": "bfloat16"}, "the activations are float32 and bfloat16"),
    ],
)
def test_other_texts_and_protocols_stand_apart(change, reason, tmp_path):
    made_up_runs.run(tmp_path / "a", 4.3, 1)
    made_up_runs.run(tmp_path / "b", 4.2, 1, attention="MDHA", **change)
    paths = [str(tmp_path / name) for name in "ab"]
    report = contents.build(paths)
    assert [list(table(report, number)) for number in (0, 1)] == [["a"], ["b"]]
    assert reason in report.sections[1].reason
    with pytest.raises(UsageError) as refusal:
        contents.build(paths, "a")
    assert "b cannot be compared with the baseline a" in str(refusal.value)
    assert reason in str(refusal.value)


def test_other_vocabularies_are_compared_by_bytes(tmp_path):
    made_up_runs.run(tmp_path / "a", 4.3, 1)
    made_up_runs.run(
        tmp_path / "b", 1.0, 1, attention="MDHA", text_checksum="0" * 16, tokens=758_206
    )
    report = contents.build([str(tmp_path / "a"), str(tmp_path / "b")])
    (section,) = report.sections
    assert section.unit == "bits_per_byte" and "758,194 bytes" in section.how
    rows = table(report)
    a = made_up_runs.loss_at(100, 4.3, 1) * 155_160 / math.log(2) / 758_194
    assert rows["a"]["loss"] == pytest.approx(a)
    assert rows["b"]["result"] == "no interval"
    assert "1 seed in common" in rows["b"]["remarks"]


def test_a_single_seed_has_no_columns_of_intervals(tmp_path):
    """A page of one seed, as that of `primer demo`, says once what it cannot say."""
    finished = {"transformer": 4.3, "primer": 4.2, "llama": 4.25}
    (section,) = contents.build([made_up_runs.sweep(tmp_path / "one", finished, (1,))]).sections
    of_seeds = {"standard_error", "interval", "adjusted_p", "p_value", "detectable"}
    assert not of_seeds & set(finals.columns(section)) and "result" in finals.columns(section)
    (remark,) = finals.remarks(section, finals.rows(section))
    assert remark.startswith("primer, transformer: 1 seed in common with the baseline")
    (section,) = contents.build([made_up_runs.sweep(tmp_path / "two", finished, (1, 2))]).sections
    assert of_seeds < set(finals.columns(section))


def test_what_is_not_a_final_loss_is_said(tmp_path):
    folder = made_up_runs.sweep(tmp_path / "runs", {"transformer": 4.3}, seeds=(1, 2, 3))
    for seed, steps, final in ((1, (10, 100), 4.2), (2, (10,), 4.2), (3, (100,), math.inf)):
        directory = tmp_path / "runs" / f"architecture=primer,seed={seed}"
        loss = final if math.isfinite(final) else lambda step: math.inf
        made_up_runs.run(
            directory, loss, seed, steps=steps, sweep="architecture=primer", attention="primer"
        )
    row = table(contents.build([folder], "transformer"))["primer"]
    assert row["seeds"] == 2 and math.isnan(row["loss"]) and row["result"] == "not compared"
    assert math.isnan(row["perplexity_per_token"])
    assert "seed 2 is evaluated up to step 10 only and not counted" in row["remarks"]
    assert "a final loss is not finite" in row["remarks"]


def test_hopeless_runs_are_named_and_not_counted(tmp_path):
    folder = made_up_runs.sweep(
        tmp_path / "runs", {"transformer": 4.3, "primer": 4.2}, seeds=(1, 2, 3)
    )
    for name, seed in (("primer", 4), ("llama", 1), ("llama", 2)):
        made_up_runs.run(
            tmp_path / "runs" / f"architecture={name},seed={seed}",
            6.0,
            seed,
            steps=(10, 30),
            sweep=f"architecture={name}",
            attention=name,
            hopeless=30,
        )
    report = contents.build([folder], "transformer")
    rows = table(report)
    assert list(rows) == ["primer", "transformer"]
    assert rows["primer"]["seeds"] == 3 and rows["primer"]["step"] == 100
    assert rows["primer"]["loss"] < 4.3
    assert rows["primer"]["remarks"] == ("stopped as hopeless, and not counted: seed 4 at step 30")
    (section,) = report.sections
    assert section.left_out == [
        "llama: all its runs were stopped as hopeless, and none is counted: seed 1 at step 30, "
        "seed 2 at step 30."
    ]
    assert "Stopped as hopeless by the rule of their sweep, and not counted" in report.remarks[0]
    assert report.remarks[0].count("(step 30)") == 3
    found = exports._checkpoints(section, str(tmp_path / "page_files"))
    found = [row for row in found if row["state"] == "hopeless"]
    assert found[0]["model_dir"] == "../runs/architecture=primer,seed=4"
    assert {(row["group"], row["hopeless_step"]) for row in found} == {("primer", 30)}
    assert figures.mean_curve(section.contenders[0], "step", "nats_per_token")[0] == [10, 30, 100]
    with pytest.raises(UsageError, match="--baseline llama: all its runs were stopped as hopeless"):
        contents.build([folder], "llama")
    with pytest.raises(UsageError, match="all runs with results were stopped as hopeless"):
        contents.build([str(tmp_path / "runs" / "architecture=llama,seed=1")])


def test_other_lengths_of_training_are_said(tmp_path):
    made_up_runs.run(tmp_path / "a", 4.3, 1)
    made_up_runs.run(tmp_path / "b", 4.3, 1, steps=(10, 30), attention="MDHA")
    row = table(contents.build([str(tmp_path / "a"), str(tmp_path / "b")]))["b"]
    assert "after 30 steps, the baseline after 100" in row["remarks"]


def test_the_baselines_name_is_checked(tmp_path):
    folder = made_up_runs.sweep(tmp_path / "runs", {"transformer": 4.3, "primer": 4.2}, (1,))
    with pytest.raises(UsageError, match="--baseline transfomer: .*expected one as transformer"):
        contents.build([folder], "transfomer")


def test_a_group_without_a_partner_among_the_baselines_is_refused():
    names = ["size=64,model=a", "size=64,model=b", "size=128,model=a", "size=192,model=b"]
    expected = dict(zip(names, [names[0], names[0], names[2]]))
    assert baselines.of_groups(names[:3], "model=a") == expected
    assert baselines.of_groups(names[:2], "model=b") == dict.fromkeys(names[:2], names[1])
    with pytest.raises(UsageError, match="size=192,model=b has no partner.*size=192"):
        baselines.of_groups(names, "model=a")


def test_runs_without_results_are_named(tmp_path):
    empty = tmp_path / "runs" / "architecture=llama,seed=1"
    made_up_runs.run(empty, 4.3, 1, steps=(), sweep="architecture=llama")
    with pytest.raises(UsageError, match="no results of primer eval; first: primer eval --model"):
        contents.build([str(tmp_path / "runs")])
    made_up_runs.sweep(tmp_path / "runs", {"primer": 4.2}, (1,))
    report = contents.build([str(tmp_path / "runs")])
    assert list(table(report)) == ["primer"]
    assert "llama,seed=1 (done)" in report.remarks[0]
    with pytest.raises(UsageError, match="llama,seed=1 has no results"):
        contents.build([str(empty), str(tmp_path / "runs")])
    with pytest.raises(UsageError, match="--baseline llama has no result yet: primer eval"):
        contents.build([str(tmp_path / "runs")], "llama")


def test_a_sweeps_file_names_its_runs(tmp_path, write):
    path = write(
        "s.yaml",
        "output: runs\nrun: {activation: relu, size: tiny, task: sotu, steps: 100}\n"
        "axes: [{architecture: [transformer, primer]}, {seed: [1, 2]}]\n",
    )
    made_up_runs.sweep(tmp_path / "runs", {"transformer": 4.3, "primer": 4.2}, (1,))
    report = contents.build([path])
    assert list(table(report)) == ["transformer", "primer"]
    assert report.remarks[0].count("seed=2") == 2


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no such directory"):
        directories.find([str(tmp_path / "none")])
    with pytest.raises(UsageError, match="is no model directory and has none in it"):
        directories.find([str(tmp_path)])


def test_settings_are_read_without_modules(write, tmp_path):
    write(
        "config.gin",
        "import primer.layers as primer7\nactivation = ['relu', @primer7.f()]\n"
        "final/primer7.Class.rate = %a.b\nrun_seed.seed = 12\n",
    )
    found = settings.read(str(tmp_path))
    assert found == {
        "activation": "['relu', @f()]",
        "final/Class.rate": "%b",
        "run_seed.seed": "12",
    }
    assert settings.seed(found) == 12 and settings.seed({}) is None
    other = {**found, "final/Class.rate": "1", "run_seed.seed": "13", "more": "2"}
    assert settings.differences({"a": found, "b": other}) == {
        "final/Class.rate": {"a": "%b", "b": "1"},
        "more": {"a": "(not set)", "b": "2"},
    }
