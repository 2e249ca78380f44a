"""Mesh-TF 0.1.21: a layer multiplies its input by weights under the same rule for d_model.

With the patch a model whose layout splits weights and activations differently
(`primer.common.sharding`) gathers the input of each layer, and splits its output.
"""

import functools
from types import ModuleType

from primer.runtime.patches import float32_norms


def patch(transformer: ModuleType) -> None:
    """Patches the calls of layers in `mesh_tensorflow.transformer.transformer`.

    gin keeps the function that it calls in a closure, and gin files name it.
    """
    cell = float32_norms.called_by_gin(transformer.sublayer_call_layer)
    cell.cell_contents = _gathering(cell.cell_contents)
    model = transformer.Unitransformer
    model._call_internal = _declaring(model._call_internal)


def _gathering(call_layer):
    @functools.wraps(call_layer)
    def sublayer_call_layer(x, layer_stack, context):
        from primer.common.sharding import layer_inputs, stored_weights

        if stored_weights.current() is None:
            return call_layer(x, layer_stack, context)
        with layer_inputs.inside_layer(context):
            y = call_layer(layer_inputs.to_whole(x), layer_stack, context)
        return layer_inputs.to_split(y)

    return sublayer_call_layer


def _declaring(call_internal):
    @functools.wraps(call_internal)
    def call(self, context, inputs, *args, **kwargs):
        from primer.common.sharding import stored_weights

        stored_weights.declare(self)
        return call_internal(self, context, inputs, *args, **kwargs)

    return call
