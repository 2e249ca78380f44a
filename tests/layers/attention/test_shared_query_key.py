"""The shared query-key projection: initial scale, memory heads."""

import numpy as np
import pytest

from primer.layers import MDHA
from tests.layers import helpers

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("rescale", [False, True])
def test_initial_scale_of_the_shared_projection(fold, rescale):
    """As published, keys start d_kv^-0.5 times smaller than those of any other attention."""
    layer = MDHA(
        num_heads=4,
        key_value_size=64,
        share_qk_rep=True,
        rescale_shared_keys=rescale,
        fold_scaling_into_initializer=fold,
    )
    with helpers.bench() as b:
        x = b.put(
            RNG.standard_normal([64, 8, 256]).astype(np.float32), "batch", "length", "d_model"
        )
        context = helpers.layer_context(b, x)
        params = layer.make_params(context)
        k = params.compute_k(x)
        q = params.queries_from_keys(context, k)
        values = b.run({"k": k, "q": q})
    keys = 1.0 if rescale else 1 / 8
    np.testing.assert_allclose(values["k"].std(), keys, rtol=0.1)
    # Mesh-TF's truncated normal has 0.88 of the nominal deviation.
    np.testing.assert_allclose(values["q"].std(), 0.88 / 8, rtol=0.1)
