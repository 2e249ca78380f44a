"""`primer demo`, a few steps long."""

import json

import pytest

from primer.experiments import contenders, demo
from tests.command_lines import run


def test_a_foreign_folder_is_not_deleted(tmp_path, capsys):
    (tmp_path / "transformer" / "commands").mkdir(parents=True)  # As in any run's directory.
    (tmp_path / "transformer" / "thesis.txt").write_text("years of work")
    assert run("demo", "--output", tmp_path, "--steps", 4) == 2
    assert "is no earlier run of the demo" in capsys.readouterr().err
    assert (tmp_path / "transformer" / "thesis.txt").exists()


def test_a_number_of_steps_below_one_is_refused(tmp_path, capsys):
    assert run("demo", "--output", tmp_path, "--steps", 0) == 2
    assert "--steps = 0: expected a whole number" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_short_demo_from_end_to_end(tmp_path, capsys, monkeypatch):
    """Smaller models than the demo's; everything else is the demo's."""
    monkeypatch.setattr(contenders, "SIZE", "tiny")
    monkeypatch.setattr(demo, "EVALUATIONS", 2)
    assert run("demo", "--output", tmp_path, "--steps", 2) == 0
    out = capsys.readouterr().out
    record = json.loads((tmp_path / "results.json").read_text())
    names = [contender.name for contender in contenders.CONTENDERS]
    assert [model["name"] for model in record["models"]] == names
    parameters = [model["parameters"] for model in record["models"]]
    assert max(parameters) < 1.01 * min(parameters)
    for model in record["models"]:
        first, last = model["checkpoints"]
        assert (first["step"], last["step"]) == (1, 2)
        assert last["tokens_trained"] == 2 * 2048
        assert last["seconds"] > first["seconds"]
        assert first["tokens"] == last["tokens"] == 155_160  # The whole split, at each of them.
        # The first update has a learning rate of zero.
        assert last["nats_per_token"] < first["nats_per_token"]
        assert f"{last['nats_per_token']:.4f}" in out
    for model, text in zip(record["models"][1:], record["seen"][1:4], strict=True):
        assert model["difference"]["documents"] == 12
        assert f"standard error {model['difference']['standard_error']:.4f}" in text
    assert len(record["seen"]) == 7 and all(text[:40] in out for text in record["seen"])
    assert (tmp_path / "learning_curves.png").stat().st_size > 10_000

    page, again = tmp_path / "report.html", tmp_path / "again.html"
    assert f"Page: {page}" in out and "1 seed in common with the baseline" in page.read_text()
    (section,) = json.loads((tmp_path / "report_files" / "report.json").read_text())["sections"]
    assert [row["group"] for row in section["finals"]] == names
    for row, model in zip(section["finals"], record["models"], strict=True):
        last = model["checkpoints"][-1]
        assert row["loss"] == last["nats_per_token"] and row["seconds"] == last["seconds"]
    assert (tmp_path / "report_files" / "loss_by_seconds.png").exists()
    assert {row["remark"][:45] for row in section["speedups"]} == {
        "its schedule constant x linear_warmup x linea"
    }
    # It is the page that `primer report` makes of these runs.
    assert run("report", *(tmp_path / name for name in names), "--output", again) == 0
    assert page.read_text() == again.read_text().replace("again_files", "report_files")
