"""Mesh-TF 0.1.21 divides the sum of the tokens' losses by the number of all positions, or by yours.

    None        all positions of the batch, padding included
    a number    itself
    "tokens"    the positions with a loss, whose target is above 0: the patch adds this one

Lingvo calls the first `use_tgt_labels_size_as_loss_denominator`, its default, and without it
divides by the third. A batch with much padding then counts as much as one without. In microbatches
each one is divided by its own tokens, as Lingvo's are, and their mean is the loss of the step.
"""

import functools
from types import ModuleType

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

TOKENS = "tokens"


def patch(transformer: ModuleType) -> None:
    """Patches `Unitransformer.loss_denominator` of `mesh_tensorflow.transformer.transformer`."""
    model = transformer.Unitransformer
    model.loss_denominator = _counting_tokens(model.loss_denominator)


def _counting_tokens(stock):
    @functools.wraps(stock)
    def loss_denominator(self, targets, num_microbatches):
        value = self._loss_denominator
        if isinstance(value, str) and value != TOKENS:
            raise ValueError(
                f'Unitransformer.loss_denominator = {value!r}: expected "{TOKENS}" for the '
                "positions with a loss, a number, or None for all positions"
            )
        if value != TOKENS:
            return stock(self, targets, num_microbatches)
        counted = mtf.reduce_sum(mtf.cast(mtf.greater(targets, 0), tf.float32))
        if self.ensemble_dim is not None and self.ensemble_dim in targets.shape.dims:
            counted /= self.ensemble_dim.size  # Each model has the gradient that it has alone.
        return mtf.maximum(counted, 1.0) * float(num_microbatches or 1)

    return loss_denominator
