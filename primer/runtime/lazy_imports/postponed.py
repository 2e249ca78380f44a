"""Which modules are executed when they are first used, and why a run does not use them.

Each is imported by name only (`import sklearn.metrics`) by what a run does import; a module of
which an importer takes an attribute at once (`from jax import jit`) would be executed then.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from primer.runtime.lazy_imports import lazy_module

# Parts of TensorFlow's interface: converters to TensorFlow Lite, which import jax; Keras of
# TensorFlow 1; copies of the interface inside itself (`tf.compat.v1.compat.v2`).
TENSORFLOW = frozenset(
    f"tensorflow._api.v2.{name}"
    for name in (
        *("lite", "compat.v1.lite", "compat.v2.lite"),
        *("feature_column", "compat.v1.feature_column", "compat.v2.feature_column"),
        *("__internal__.feature_column", "compat.v2.__internal__.feature_column"),
        *("tpu.experimental", "compat.v1.tpu.experimental", "compat.v2.tpu.experimental"),
        *("compat.v1.layers", "compat.v1.nn.rnn_cell"),
        *("compat.v1.compat.v1", "compat.v1.compat.v2", "compat.v2.compat.v2"),
    )
)

# Metrics of t5's own tasks, seqio's evolution of programs, and what Keras of TensorFlow 1, which
# TensorFlow's recurrent cells import, reads files and pages with.
OTHERS = frozenset(
    (
        *("nltk", "sacrebleu", "scipy.stats", "sklearn", "sklearn.metrics"),
        *("rouge_score.rouge_scorer", "rouge_score.scoring"),
        *("pyglove", "h5py", "requests"),
        "tensorflow_text.python.keras",
    )
)

NAMES = TENSORFLOW | OTHERS

# TensorFlow imports it for side effects that only programs with Keras layers need.
_KERAS = "keras.src.optimizers"


@contextlib.contextmanager
def keras_left_out() -> Iterator[None]:
    """Inside the block, TensorFlow's import does not import Keras; `tf.keras` does when used."""
    if _KERAS in sys.modules or "tensorflow" in sys.modules:
        yield
        return
    sys.modules[_KERAS] = ModuleType(_KERAS)
    try:
        yield
    finally:
        sys.modules.pop(_KERAS, None)


def keep_lite(tensorflow: ModuleType) -> None:
    """Keeps `tf.lite` the public interface when that is executed.

    It imports the package `tensorflow.lite`, and the import system sets the attribute of a package
    once, when its submodule is first imported: hence now.
    """
    interface = tensorflow.__dict__.get("lite")
    if type(interface) is lazy_module.LazyModule:
        importlib.import_module("tensorflow.lite")
        tensorflow.lite = interface
