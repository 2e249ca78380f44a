"""Lists which patch belongs to which module of TensorFlow, t5 and Mesh-TensorFlow.

`primer.runtime.import_hook` calls `prepare_tensorflow` before the first of the packages is
imported, and `apply` when a listed module has been imported. Each module named on the right has
`patch(module)`; a patch changes nothing where the fault does not exist.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType

from primer.common import console, gc_pause
from primer.errors import UsageError
from primer.runtime.lazy_imports import finder, postponed
from primer.runtime.patches import onednn, startup_notices

# Applied before t5, Mesh-TensorFlow and gin.tf import TensorFlow's names.
TENSORFLOW = {
    "tensorflow.python.framework.ops": (
        "patches.missing_names.tensor_conversion",
        "patches.start_up.shared_constants",
    ),
    "tensorflow": (
        "patches.missing_names.estimator_stub",
        "patches.missing_names.input_pipeline_hook",
    ),
    "tensorflow.python.ops.variable_scope": ("patches.start_up.variable_scopes",),
    "tensorflow.python.checkpoint.checkpoint_management": ("patches.checkpoints.checkpoint_names",),
}

# Applied when the module on the left has been imported, in this order.
PATCHES = {
    "mesh_tensorflow.ops": (
        "patches.random_operations",
        "patches.loop_iterations",
        "patches.initial_values",
        "patches.fine_tuning.frozen_weights",
        "patches.resource_variables",
        "patches.sharding.stored_weights",
        "patches.loop_summaries",
        "ops.fused_softmax",
        "ops.relu_gradient",
        "ops.einsum_order",
        "ops.leading_sums",
        "ops.narrow_products",
    ),
    "mesh_tensorflow.layers": ("patches.layer_norm", "patches.fine_tuning.low_rank"),
    "mesh_tensorflow.optimize": ("patches.learning_rates",),
    "mesh_tensorflow.transformer.attention": ("ops.attention_layout",),
    "mesh_tensorflow.transformer.transformer": (
        "ops.embedding_lookup",
        "ops.cross_entropy",
        "patches.sampling_stop",
        "patches.training_step.continued_inputs",
        "patches.sinusoid_positions",
        "patches.float32_norms",
        "patches.model.text_positions",
        "patches.model.loss_denominator",
        "patches.sharding.whole_inputs",
        "patches.float32_loss",  # Last: it wraps the loss of `ops.cross_entropy`.
    ),
    "mesh_tensorflow.transformer.utils": (
        "patches.score_ids",  # First: `engine` keeps the settings without its change.
        "patches.target_text",
        "ops.adafactor_update",
        "patches.training_step.carried_microbatches",
        "patches.training_step.training_loss",
        "patches.checkpoints.initial_checkpoint",
        "patches.training_step.step_print",
        "patches.checkpoints.checkpoint_names",
        "engine",
    ),
    "t5.evaluation.metrics": ("patches.start_up.sklearn_metrics",),
    "t5.models.mtf_model": (
        "patches.checkpoints.own_settings",
        "patches.checkpoints.finetune_steps",
    ),
    "t5.models.utils": ("patches.checkpoints.checkpoint_names",),
    "t5.models.mesh_transformer_main": ("patches.t5_main",),
}

# Module -> the package that it needs, and the patch that fills an empty module where it is missing.
WITHOUT_PACKAGE = {"t5.models.hf_model": ("torch", ("patches.missing_names.torch_model",))}

# The commands that run a model: nothing that exists when they start becomes garbage.
COMMANDS = (startup_notices.SCRIPT, "primer")


def prepare_tensorflow() -> None:
    """Imports TensorFlow with the names that Mesh-TensorFlow, t5 and gin.tf import from it."""
    if os.path.basename(sys.argv[0]) == startup_notices.SCRIPT:
        _check_settings()
    startup_notices.patch(os)
    onednn.patch(os)
    if importlib.util.find_spec("tensorflow") is None:
        return  # The import that follows raises the error.
    finder.install(postponed.NAMES)
    with gc_pause.paused(), postponed.keras_left_out():
        for name, patches in TENSORFLOW.items():
            apply(importlib.import_module(name), patches)
        postponed.keep_lite(sys.modules["tensorflow"])
    if os.path.basename(sys.argv[0]) in COMMANDS:
        gc_pause.freeze_existing()


def _check_settings() -> None:
    """Ends t5's command, before the long imports, where its settings' text is misuse."""
    from primer.gin_config.before_imports import check

    try:
        check.check_command(sys.argv[1:])
    except UsageError as error:
        console.say(f"primer: {str(error).splitlines()[0]}")
        sys.exit(error.exit_code)


def apply(module: ModuleType, patches: tuple[str, ...]) -> None:
    """Calls `patch(module)` of modules, whose names begin behind `primer.runtime.`."""
    for name in patches:
        importlib.import_module(f"primer.runtime.{name}").patch(module)
