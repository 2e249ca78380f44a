"""t5's main without Primer's patches: TensorFlow 2.15.1, TPUEstimator.

    .venv-tpu/bin/python benchmarks/stock_main.py --model_dir=... (t5_mesh_transformer's flags)

Only the two patches that its import needs are applied (a TensorFlow name that moved in 2.13, and
t5's PyTorch model). MDHA's convolution is built from Mesh-TensorFlow's operations, shift by shift,
instead of Primer's fused operation.
"""

import sys
import types
from collections.abc import Sequence

from tensorflow.python.framework import ops

from primer.runtime import import_hook
from primer.runtime.patches.missing_names import tensor_conversion, torch_model

sys.meta_path[:] = [
    finder for finder in sys.meta_path if not isinstance(finder, import_hook.Finder)
]
tensor_conversion.patch(ops)
_hf_model = types.ModuleType("t5.models.hf_model")
torch_model.patch(_hf_model)
sys.modules[_hf_model.__name__] = _hf_model

import mesh_tensorflow as mtf  # noqa: E402
from t5.models import mesh_transformer_main  # noqa: E402

from primer.layers.convolution import causal_depthwise_conv  # noqa: E402


def shift_by_shift(
    x: mtf.Tensor,
    taps: Sequence[mtf.Tensor],
    length_dim: mtf.Dimension,
    segment_id: mtf.Tensor | None = None,
) -> mtf.Tensor:
    """Returns the convolution of `primer.layers`, as a chain of shifts, products and sums."""
    del segment_id  # The original's convolution crosses the borders of packed examples.
    parts = [x * taps[0]]
    for distance, tap in enumerate(taps[1:], start=1):
        parts.append(mtf.shift(x, distance, length_dim, wrap=False) * tap)
    return mtf.add_n(parts)


def main() -> None:
    """Runs t5's command."""
    causal_depthwise_conv.causal_depthwise_conv = shift_by_shift
    mesh_transformer_main.console_entry_point()


if __name__ == "__main__":
    main()
