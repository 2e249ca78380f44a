"""Each mend of TensorFlow, t5 and Mesh-TensorFlow: what it is for, and nothing where not needed.

`primer.runtime.import_hook` calls them: `before_mesh` when the first package of the stack is about
to be imported, the `after_...` functions when the module that they are handed has just run.
"""

import importlib.util
import os
import re
import sys

from primer.common import gc_pause

SCRIPT = "t5_mesh_transformer"


def before_mesh():
    """Gives TensorFlow back the names that Mesh-TensorFlow, t5 and gin.tf import."""
    quiet_tensorflow()
    if importlib.util.find_spec("tensorflow") is None:
        return  # The import that follows says so itself.
    with gc_pause.paused():  # They import TensorFlow.
        restore_tensor_conversion()
        stand_in_for_estimator()
        stand_in_for_input_pipeline_hook()
    if os.path.basename(sys.argv[0]) in (SCRIPT, "primer"):
        gc_pause.keep_all_there_is()


def quiet_tensorflow():
    """Keeps TensorFlow's C++ notices of its start off the terminal; an own setting wins.

    t5's console script gets them in the run's log: `primer.common.console`.
    """
    if os.path.basename(sys.argv[0]) == SCRIPT and not _asks_for_everything(sys.argv):
        from primer.common import console

        console.capture_early()
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _asks_for_everything(arguments):
    """Whether `--verbosity=1` or more is among the arguments, before absl has read them."""
    text = " ".join(arguments)
    return re.search(r"--?(verbosity|v)[= ]+[1-9]", text) is not None


def restore_tensor_conversion():
    """TF 2.13 moved `ops.register_tensor_conversion_function`; mesh_tensorflow/tpu_variables.py."""
    from tensorflow.python.framework import ops

    if not hasattr(ops, "register_tensor_conversion_function"):
        from tensorflow.python.framework import tensor_conversion_registry

        ops.register_tensor_conversion_function = (
            tensor_conversion_registry.register_tensor_conversion_function
        )


def stand_in_for_estimator():
    """TF 2.16 dropped the Estimator, its TPU form, and `tf.estimator` that gin.tf needs."""
    name = "tensorflow.python.tpu.tpu_estimator"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    import tensorflow
    import tensorflow.compat.v1
    from tensorflow.python import tpu

    from primer.runtime.patches import estimator_stub

    estimator = estimator_stub.estimator_module()
    tensorflow.estimator = estimator
    tensorflow.compat.v1.estimator = estimator
    sys.modules["tensorflow.compat.v1.estimator"] = estimator
    for name, make in (
        ("tpu_estimator", estimator_stub.tpu_estimator_module),
        ("tpu_config", estimator_stub.tpu_config_module),
    ):
        module = make()
        sys.modules[module.__name__] = module
        setattr(tpu, name, module)


def stand_in_for_input_pipeline_hook():
    """TF 2.21 dropped the hook of Mesh-TF's `checkpoint_input_pipeline`.

    The local estimator keeps the position of the input pipeline in every checkpoint, so that the
    setting asks for what happens anyway and its hook has nothing left to do.
    """
    import tensorflow.compat.v1 as tf

    if hasattr(tf.data.experimental, "CheckpointInputPipelineHook"):
        return

    class CheckpointInputPipelineHook(tf.train.SessionRunHook):
        """Accepts what the original accepts; see `primer.runtime.training.checkpoint_writer`."""

        def __init__(self, estimator, external_state_policy=None):
            del estimator, external_state_policy

    tf.data.experimental.CheckpointInputPipelineHook = CheckpointInputPipelineHook


def fill_torch_model(module):
    """t5.models imports its PyTorch model always; without torch only its use is an error."""

    class HfPyTorchModel:
        """Says that torch is missing when somebody makes one."""

        def __init__(self, *args, **kwargs):
            del args, kwargs
            raise ImportError("t5.models.HfPyTorchModel needs PyTorch: pip install torch")

    module.HfPyTorchModel = HfPyTorchModel


def after_mesh_ops(ops):
    """Random draws keyed by seed, step and name; weights read before they are changed; scalars.

    And a softmax in one pass, where nothing trains.
    """
    from primer.runtime.ops import fused_softmax
    from primer.runtime.patches import loop_summaries, random_seeds, resource_variables

    random_seeds.patch(ops)
    resource_variables.patch(ops)
    loop_summaries.patch(ops)
    fused_softmax.patch(ops)


def after_mesh_optimize(optimize):
    """One update for each variable, whatever patterns its name matches."""
    from primer.runtime.patches import learning_rates

    learning_rates.patch(optimize)


def after_mesh_attention(attention):
    """Products of matrices in attention, where nothing trains."""
    from primer.runtime.ops import attention_layout

    attention_layout.patch(attention)


def after_mesh_transformer(transformer):
    """Lookups that gather, a fused loss, float32 from the logits on, and rows that end."""
    from primer.runtime.ops import cross_entropy, embedding_lookup
    from primer.runtime.patches import float32_loss, sampling_stop

    embedding_lookup.patch(transformer)
    cross_entropy.patch_loss(transformer)
    cross_entropy.patch_evaluation(transformer.mtf.layers)
    sampling_stop.patch(transformer)
    float32_loss.patch(transformer)  # Last: the loss inside sees float32.


def after_mesh_utils(utils):
    """The local estimator, our precision and the run around them."""
    from primer.runtime import engine

    engine.patch(utils)


def after_mesh_main(module):
    """One line for an error and a log file with `--use_model_api` too."""
    from primer.runtime import engine

    engine.patch_main(module)
