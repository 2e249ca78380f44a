"""LoRA of dense layers: all of them, and the projections of attention, multiply by `us_einsum`."""

import functools
from types import ModuleType


def patch(layers: ModuleType) -> None:
    """Patches `mesh_tensorflow.layers.us_einsum`."""
    stock = layers.us_einsum

    @functools.wraps(stock)
    def us_einsum(xs, *args, **kwargs):
        from primer.parametrization import lora

        return lora.with_product(stock(xs, *args, **kwargs), xs, stock)

    layers.us_einsum = us_einsum
