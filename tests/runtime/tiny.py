"""A tiny task and model for tests of the engine, run through Mesh-TF's `utils.run`."""

import os

import gin
import mesh_tensorflow as mtf
import numpy as np
import seqio
import tensorflow as tf
from absl import flags
from mesh_tensorflow import optimize
from mesh_tensorflow.transformer import utils
from t5.data import preprocessors
from t5.models import mesh_transformer, mesh_transformer_main, mtf_model

from primer.gin_config import config_files

TASK = "tiny_text"
T5_GIN = os.path.join(os.path.dirname(mesh_transformer_main.__file__), "gin")

# The default model, t5's own language model.
MODEL = """
include "models/lm_v1.gin"
d_model = 16
d_ff = 32
num_layers = 1
num_heads = 2
d_kv = 8
dropout_rate = 0.1
"""

# float32 on every machine: in bfloat16, which some processors train in, two orders of the same
# computation differ by more than the tests' tolerances.
CONFIG = f"""
include "dataset.gin"
include "objectives/lm.gin"
MIXTURE_NAME = "{TASK}"
utils.run.model_type = "lm"
utils.run.mesh_shape = ""
utils.run.mesh_devices = None
utils.run.batch_size = 4
utils.run.sequence_length = {{"inputs": 1, "targets": 32}}
utils.run.train_steps = 6
utils.run.save_checkpoints_steps = 3
mesh_train_dataset_fn.seed = 1
mesh_eval_dataset_fn.mixture_or_task_name = %MIXTURE_NAME
utils.run.eval_dataset_fn = @t5.models.mesh_transformer.mesh_eval_dataset_fn
utils.run.dataset_split = "train"
precision.activation_dtype = "float32"
"""


def _lines(split, shuffle_files=False, seed=None):
    del shuffle_files, seed
    first = 0 if split == "train" else 1000
    rows = [f"line {n}: {n} times {n} is {n * n}." for n in range(first, first + 300)]
    return tf.data.Dataset.from_tensor_slices({"targets": rows})


def _count(targets, predictions):
    return {"count": len(predictions), "texts": sum(bool(text) for text in targets)}


def add_task():
    """Registers the task, unless it is registered already."""
    if TASK in seqio.TaskRegistry.names():
        return
    seqio.TaskRegistry.add(
        TASK,
        source=seqio.FunctionDataSource(_lines, splits=["train", "validation"]),
        preprocessors=[
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            preprocessors.unsupervised,
        ],
        output_features={"targets": seqio.Feature(seqio.ByteVocabulary(), add_eos=True)},
        metric_fns=[_count],
    )


def configure(*bindings, model=MODEL):
    """Parses Mesh-TF's defaults, the model and the tiny task, then the test's bindings."""
    add_task()
    tf.compat.v1.disable_v2_behavior()
    gin.add_config_file_search_path(T5_GIN)
    gin.add_config_file_search_path(config_files.gin_directory())
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    flags.FLAGS.gin_file = []
    flags.FLAGS.gin_param = []
    with gin.unlock_config():
        gin.clear_config(clear_constants=False)
        utils.parse_gin_defaults_and_flags(finalize_config=False)
        gin.parse_config([model, CONFIG, *bindings])
        gin.bind_parameter("run.vocabulary", mesh_transformer.get_vocabulary(TASK))


def run(model_dir, *bindings, model=MODEL):
    """Calls `utils.run` as t5's main does."""
    configure(*bindings, model=model)
    utils.run(
        tpu_job_name=None, tpu=None, gcp_project=None, tpu_zone=None, model_dir=str(model_dir)
    )


def variables(model_dir, step):
    """Returns the values of a checkpoint's variables, by name."""
    reader = tf.compat.v1.train.NewCheckpointReader(f"{model_dir}/model.ckpt-{step}")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal_variables(first, second):
    """Compares the values of two checkpoints bit for bit."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def scalars(directory):
    """Returns {tag: {step: value}} of the events in a directory."""
    found = {}
    for path in sorted(tf.io.gfile.glob(f"{directory}/events*")):
        for event in tf.compat.v1.train.summary_iterator(path):
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def dropped_from(directory):
    """Returns the steps from which TensorBoard drops events that a directory had before."""
    start = tf.compat.v1.SessionLog.START
    return [
        event.step
        for path in sorted(tf.io.gfile.glob(f"{directory}/events*"))
        for event in tf.compat.v1.train.summary_iterator(path)
        if event.session_log.status == start
    ]


def vocabulary():
    """Returns the vocabulary of the tiny task."""
    return mesh_transformer.get_vocabulary(TASK)


def estimator_settings(model_dir):
    """Returns the arguments that `utils.run` passes to `utils.get_estimator`."""
    return dict(
        model_type="lm",
        vocabulary=vocabulary(),
        mesh_shape=mtf.Shape([]),
        layout_rules=mtf.LayoutRules([]),
        model_dir=str(model_dir),
        batch_size=4,
        sequence_length={"inputs": 1, "targets": 32},
        autostack=True,
        learning_rate_schedule=0.01,
        keep_checkpoint_max=3,
        save_checkpoints_steps=3,
        optimizer=optimize.AdafactorOptimizer,
        predict_fn=None,
        variable_filter=None,
        ensemble_inputs=None,
        use_tpu=None,
        tpu_job_name=None,
        iterations_per_loop=1,
        cluster=None,
    )


def mtf_model_of(model_dir):
    """Returns t5's MtfModel of the model that gin describes."""
    with gin.unlock_config():
        gin.bind_parameter("utils.get_variable_dtype.master_dtype", "float32")
    return mtf_model.MtfModel(
        model_dir=str(model_dir),
        tpu=None,
        batch_size=2,
        sequence_length={"inputs": 32, "targets": 32},
        model_type="lm",
        save_checkpoints_steps=2,
        learning_rate_schedule=0.01,
    )


def predicted(model, folder):
    """Returns the bytes that `MtfModel.predict` writes for two prompts."""
    prompts = folder / "prompts.txt"
    prompts.write_text("line 1\nline 2\n")
    model.predict(str(prompts), str(folder / "out"), temperature=1.0, vocabulary=vocabulary())
    (path,) = folder.glob("out*")
    return path.read_bytes()
