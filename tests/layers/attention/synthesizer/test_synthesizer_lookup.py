"""Lookups in tables by integer index, against mtf.gather."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.synthesizer import synthesizer_lookup
from tests.layers import helpers

RNG = np.random.default_rng(1)


def test_lookup_is_a_gather_with_its_gradient():
    table, index = RNG.standard_normal([3, 2, 7, 4]), RNG.integers(0, 7, [2, 5, 3])
    weight = RNG.standard_normal([2, 5, 3, 4]).astype(np.float32)
    results = []
    for function in (synthesizer_lookup.lookup, mtf.gather):
        with helpers.bench() as b:
            t = b.put(table.astype(np.float32), "c", "a", "rows", "d")
            i = b.put(index.astype(np.int32), "a", "b", "c")
            y = function(t, i, t.shape.get_dim_by_name("rows"))
            y = mtf.transpose(y, mtf.Shape([*i.shape.dims, t.shape.dims[-1]]))
            loss = mtf.reduce_sum(y * b.put(weight, "a", "b", "c", "d"))
            results.append(b.run({"y": y, "dt": mtf.gradients([loss], [t])[0]}))
    for key in ("y", "dt"):
        np.testing.assert_allclose(results[0][key], results[1][key], rtol=0, atol=1e-6)


def test_invalid_lookups_raise_errors():
    with helpers.bench("rows:2", "length:rows") as b:
        t, i = (
            b.put(np.ones([4, 2], np.float32), "length", "d"),
            b.put(np.zeros([3], np.int32), "a"),
        )
        with pytest.raises(ValueError, match="cannot look up"):
            synthesizer_lookup.lookup(t, i, mtf.Dimension("length", 5))
        y = synthesizer_lookup.lookup(t, i, mtf.Dimension("length", 4))
        with pytest.raises(ValueError, match="a layout rule splits length"):
            b.run({"y": y})
