"""The gin files and bindings of the two commands of the original's README still work."""

import gin
import pytest

from primer.gin_config import config_files, dead_bindings, statements
from primer.planning import run_graph

TASK = "c4_v220_autoregressive_language_modeling"

COMMON = [
    "utils.tpu_mesh_shape.model_parallelism = 1",
    'utils.tpu_mesh_shape.tpu_topology = "2x2"',
    f'MIXTURE_NAME = "{TASK}"',
]
SEQUENCE = [
    "run.sequence_length = {'inputs': 1, 'targets': 512}",
    "run.model_type = 'lm'",
    "utils.run.save_checkpoints_steps = 2400",
    "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 8192",
]


def train_command(model):
    files = ["dataset.gin", "models/defaults.gin", f"models/{model}.gin"]
    files += ["learning_rate_schedules/rsqrt_no_ramp_down.gin", "objectives/lm.gin"]
    run = [
        "utils.run.train_steps = 1000000",
        'utils.run.batch_size = ("tokens_per_batch", 65536)',
    ]
    return files, COMMON + run + SEQUENCE


def eval_command(model):
    files = ["dataset.gin", "models/defaults.gin", f"models/{model}.gin", "perplexity_eval.gin"]
    run = [
        'utils.run.mode = "perplexity_eval"',
        'utils.run.dataset_split = "validation"',
        'utils.run.eval_checkpoint_step = "all"',
    ]
    return files, COMMON + SEQUENCE + run


@pytest.mark.parametrize("command", [train_command, eval_command])
@pytest.mark.parametrize("model", config_files.names_of_kind("models"))
def test_a_command_parses_and_finalizes(command, model, load):
    load(*command(model))
    gin.finalize()
    assert gin.query_parameter("utils.run.model_type") == "lm"
    assert gin.query_parameter("utils.tpu_mesh_shape.model_parallelism") == 1


def test_the_training_command_builds_its_batch_and_schedule(load):
    files, bindings = train_command("small_primer")
    load(files, bindings + ["num_layers = 1"])
    gin.finalize()
    spec = run_graph.build_run(97, "train")
    tensors = (t for op in spec.loss.graph.get_operations() for t in op.outputs)
    assert (128, 512) in {tuple(t.shape.as_list()) for t in tensors if t.shape.rank == 2}
    dead = dead_bindings.find_dead_bindings(
        declared=statements.declared_slots(config_files.gin_directory())
    )
    bound = {(d.selector.split(".")[-1], d.parameter) for d in dead}
    for live in (
        ("serialize_num_microbatches", "tokens_per_microbatch_per_replica"),
        ("learning_rate_schedule_noam", "linear_decay_fraction"),
    ):
        assert live not in bound


def test_tpu_topology_has_no_effect_without_the_tpu_flag(load):
    files, bindings = train_command("small_primer")
    tiny = ["sizes/tiny.gin", "run/smoke.gin"]
    load(files + tiny, bindings[:3])
    assert run_graph.build_run(97, "eval").loss.shape.rank == 0
