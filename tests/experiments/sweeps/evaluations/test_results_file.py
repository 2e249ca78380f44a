"""The table of a sweep's results: its columns, their types, and programs that open it."""

import json

import pandas
import pyarrow
import pyarrow.parquet as parquet

from primer.experiments.sweeps import expansion, sweep_file
from primer.experiments.sweeps.evaluations import results_file, table_rows
from primer.experiments.sweeps.expansion import SweepRun
from tests.experiments.sweeps.train_with_stand_in import train


def test_it_has_a_row_for_each_run_and_checkpoint(sweep, tmp_path):
    path = sweep(
        "learning_rate: [1e-3, 1e-2], zip: {task: {dry: sotu}, seed: [3]}, "
        "{gin.d_ff: [16], when: {learning_rate: 1e-3}}",
        steps=4,
        more="evaluate: {checkpoints: every 2}\n",
    )
    assert train(path) == 0
    checksums = {"checksums": {"data": "ab12"}}
    runs = expansion.expand(sweep_file.read(path))
    with open(f"{runs[1].model_dir}/texts.json", "w") as out:
        json.dump(checksums, out)
    assert results_file.write(str(tmp_path / "runs"), runs) == (4, [])

    table = parquet.read_table(tmp_path / "runs" / "results.parquet")
    types = {field.name: field.type for field in table.schema}
    assert types["learning_rate"] == types["nats_per_token"] == pyarrow.float64()
    assert types["d_ff"] == types["seed"] == types["tokens"] == pyarrow.int64()
    assert types["axis_task"] == types["run"] == pyarrow.string()
    row = table.to_pylist()[-1]
    assert row["run"] == "learning_rate=0.01,task=dry,seed=3" and row["index"] == 1
    assert (row["learning_rate"], row["d_ff"], row["axis_task"], row["seed"]) == (
        *(0.01, None, "dry"),
        3,
    )
    assert (row["step"], row["tokens"], row["flops"]) == (4, 4_000, 28_000.0)
    assert row["nats_per_token"] == 8.5 and row["bits_per_byte"] is None
    assert (row["task"], row["split"], row["protocol"], row["window"]) == (
        *("sotu", "validation", "stream"),
        128,
    )
    assert row["evaluated_tokens"] == 155_160 and row["evaluated_bytes"] == 758_194
    assert row["state"] == "done" and row["hopeless_step"] is None
    assert row["activation_dtype"] == "float32" and row["data_checksum"] == "ab12"
    assert row["version_tensorflow"] and row["version_primer"] and row["host"]
    assert 0 <= row["seconds"] < 60
    assert table.to_pylist()[0]["d_ff"] == 16

    frame = pandas.read_parquet(tmp_path / "runs" / "results.parquet")
    means = frame.groupby("step")["nats_per_token"].mean()
    assert means.to_dict() == {2: 8.75, 4: 8.5}


def test_a_damaged_record_of_a_run_is_named_and_the_others_are_kept(sweep, tmp_path):
    path = sweep("seed: [1, 2]", steps=1, more="evaluate: {checkpoints: last}\n")
    assert train(path) == 0
    (tmp_path / "runs" / "seed=1" / "run.json").write_text("{")
    runs = expansion.expand(sweep_file.read(path))
    count, problems = results_file.write(str(tmp_path / "runs"), runs)
    assert count == 2 and len(problems) == 1
    assert "seed=1/run.json cannot be read" in problems[0]
    path = tmp_path / "runs" / "seed=2" / "eval" / "sotu_validation_stream.jsonl"
    path.write_text(path.read_text().replace('"nats_per_token": ', '"nats_per_token": "x", "y": '))
    count, problems = results_file.write(str(tmp_path / "runs"), runs)
    assert count is None and "results.parquet cannot be written" in problems[0]


def test_labels_of_several_settings_are_a_column():
    values = [{"gin.d_ff": 32, "seed": 1}, {"gin.d_ff": 64, "seed": 1, "gin.norm": "@my.norm"}]
    runs = [
        SweepRun(0, "size=3M,seed=1", "", values[0], {}, []),
        SweepRun(1, "size=10M,seed=1,norm=mine", "", values[1], {}, []),
    ]
    axes, kinds = table_rows.axis_columns(runs), table_rows.columns(runs)
    assert axes == {"size": "size", "gin.d_ff": "d_ff", "gin.norm": "norm"}
    assert (kinds["size"], kinds["d_ff"], kinds["norm"]) == ("text", "whole", "text")
    assert [table_rows._of_axes(run, axes, kinds) for run in runs] == [
        {"size": "3M", "d_ff": 32, "norm": None},
        {"size": "10M", "d_ff": 64, "norm": "mine"},
    ]


def test_kinds_of_axes():
    assert table_rows._kind([1, 2]) == table_rows.WHOLE
    assert table_rows._kind([1, 0.5]) == table_rows.NUMBER
    assert table_rows._kind([True, False]) == table_rows.BOOLEAN
    assert table_rows._kind([1, "a"]) == table_rows.TEXT
