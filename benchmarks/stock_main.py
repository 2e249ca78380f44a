"""t5's main as its authors shipped it: TensorFlow 2.15.1, TPUEstimator, no patch but two names.

    .venv-tpu/bin/python benchmarks/stock_main.py --model_dir=... (t5_mesh_transformer's flags)

The two patches are those without which it cannot be imported (a TensorFlow name that moved in 2.13,
and t5's PyTorch model). MDHA's convolution is put together from Mesh-TensorFlow's own operations,
shift by shift, as one builds it without an operation of one's own.
"""

import sys
import types

from tensorflow.python.framework import ops

from primer.runtime import import_hook
from primer.runtime.patches import tensor_conversion, torch_model

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


def shift_by_shift(x, taps, length_dim, segment_id=None):
    """The convolution of `primer.layers`, as a chain of shifts, products and sums."""
    del segment_id  # The original lets packed examples leak into each other.
    parts = [x * taps[0]]
    for distance, tap in enumerate(taps[1:], start=1):
        parts.append(mtf.shift(x, distance, length_dim, wrap=False) * tap)
    return mtf.add_n(parts)


def main():
    causal_depthwise_conv.causal_depthwise_conv = shift_by_shift
    mesh_transformer_main.console_entry_point()


if __name__ == "__main__":
    main()
