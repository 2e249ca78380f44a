"""Weights & Biases in its offline mode: a run that resumes goes on in the same run of W&B."""

import json
import struct

import gin
import pytest

from primer.errors import RunError, UsageError
from primer.runtime.tracking import tracker, wandb_tracker
from tests.command_lines import run

SETTINGS = 'WandbTracker.project = "models"\nWandbTracker.tags = ["a", "b"]\n'


@pytest.fixture
def offline(monkeypatch):
    """W&B's package, writing to local files only."""
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return wandb


def records(path):
    """Yields the records of W&B's file: LevelDB's log format behind seven bytes of its own."""
    content, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # A whole record, or the last part of one.
            yield parts
            parts = b""


def sessions(model_dir):
    """Returns [(W&B's run, rows)] of the offline runs in a directory, by time."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted(model_dir.glob("wandb/offline-run-*/run-*.wandb")):
        rows, about = [], None
        for data in records(path):
            record = wandb_internal_pb2.Record.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                about = about or record.run
            elif kind == "history":
                items = record.history.item
                rows.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in items})
        found.append((about, rows))
    return found


def test_a_resumed_run_goes_on_in_the_same_run(offline, tmp_path):
    model_dir = tmp_path / "primer-a"
    model_dir.mkdir()
    gin.parse_config(SETTINGS + "tracking.tracker = @WandbTracker()\na_macro = 5\n")
    for start in (0, 2):
        with tracker.opened(str(model_dir), start) as tracking:
            tracking.log(start + 1, {"loss": 2.5 - start, "gradient_norm": 1.0})
            tracking.log(start + 2, {"validation/nats_per_token": 1.5})
    (first, rows), (second, more) = sessions(model_dir)
    kept = json.loads((model_dir / "wandb.json").read_text())["id"]
    assert first.run_id == second.run_id == kept
    assert (first.project, first.display_name, list(first.tags)) == (
        "models",
        "primer-a",
        ["a", "b"],
    )
    config = {item.key: json.loads(item.value_json) for item in first.config.update}
    assert config["a_macro"] == 5 and config["WandbTracker.project"] == "models"
    logged = [(row["step"], row.get("loss")) for row in (*rows, *more)]
    assert logged == [(1, 2.5), (2, None), (3, 0.5), (4, None)]
    (model_dir / "wandb.json").write_text("{}")
    with pytest.raises(RunError, match="wandb.json is damaged"):
        with tracker.opened(str(model_dir), 4):
            pass


def test_tags_are_a_list(offline):
    with pytest.raises(UsageError, match="WandbTracker.tags is 'a'"):
        wandb_tracker.WandbTracker(tags="a")


@pytest.mark.slow
def test_training_is_tracked_and_its_events_have_the_same_numbers(offline, tmp_path):
    model_dir, table = tmp_path / "run", tmp_path / "m.jsonl"
    words = ("--architecture", "primer", "--activation", "squared_relu", "--size", "tiny")
    words += ("--task", "sotu", "--gin_file", "run/demo.gin", "--model_dir", model_dir)
    words += ("--tracker", "wandb", "--eval_every", 4, "--gin_param", "summaries.every = 2")
    for steps in (4, 8):
        assert run("train", *words, "--steps", steps) == 0
    assert run("export-metrics", "--model_dir", model_dir, "--output", table) == 0
    events = [json.loads(line) for line in table.read_text().splitlines()]
    rows = [row for _, found in sessions(model_dir) for row in found]
    for tag in ("loss", "gradient_norm"):
        found = [e for e in events if (e["source"], e["tag"]) == ("train", tag)]
        written = {event["step"]: event["value"] for event in found}
        told = {row["step"]: row[tag] for row in rows if tag in row}
        assert written == pytest.approx(told, rel=1e-6) and {1, 2, 4, 5, 6, 8} <= set(told)
    assert [row["step"] for row in rows if "validation/nats_per_token" in row] == [4, 8]
    evaluated = [e["step"] for e in events if e["tag"].endswith("/nats_per_token")]
    assert sorted(set(evaluated)) == [4, 8]
