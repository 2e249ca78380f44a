"""The exponential moving average of weights, kept as its distance from them.

With decay d_t, weight w and the change c that update t subtracts from it, the average a is

    a <- d_t * a + (1 - d_t) * (w - c)

The state of a weight is the lag D = a - w. In terms of it

    D <- d_t * (D + c)

which is the same without reading w: with bfloat16 activations Mesh-TF shows an optimizer the weight
rounded to 8 bits. The lag is 0 at first, so the average starts at the weights of the moment at
which it is turned on.

    d_t = min(d, (1 + t) / (10 + t)), t = 0, 1, ... the number of updates before

as of TensorFlow's `tf.train.ExponentialMovingAverage(d, num_updates=t)`: a short run's average
forgets the start too. `primer average --moving` writes w + D as weights of their own.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf

from primer.optimizers import assignments, optimizer_state, update_count

SLOT = "average_lag"
_COUNT = "average"


def updates(changes: Sequence[assignments.Assignment], decay: float) -> list:
    """Returns the assignments of the new lags, and of the count of updates.

    Args:
        changes: the assignments to the weights, which subtract their values.
        decay: d, from 0 to below 1.
    """
    if not changes:
        return []
    mesh = changes[0].variable.mesh
    before = update_count.updates_done(mesh, _COUNT)
    decay_now = mtf.minimum((1.0 + before) / (10.0 + before), decay)
    found = []
    for change in changes:
        lag = optimizer_state.slot(change.variable, SLOT)
        new = decay_now * (lag + mtf.to_float(change.value))
        found.append(assignments.to_state(lag, new))
    return found + assignments.taken_apart(update_count.increments(mesh))
