"""TensorFlow 2.13 moved a function that Mesh-TF 0.1.21 imports (`tpu_variables.py`).

`ops.register_tensor_conversion_function` is now in `tensor_conversion_registry`. The patch gives
`ops` the name back.
"""

from types import ModuleType


def patch(ops: ModuleType) -> None:
    """Patches `tensorflow.python.framework.ops` where it lacks the name."""
    if not hasattr(ops, "register_tensor_conversion_function"):
        from tensorflow.python.framework import tensor_conversion_registry

        ops.register_tensor_conversion_function = (
            tensor_conversion_registry.register_tensor_conversion_function
        )
