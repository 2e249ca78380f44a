"""Every architecture has a memory, or refuses it in one line.

The list is read from the gin files. A memory of all earlier positions is attention without
segments.
"""

import numpy as np
import pytest

from tests import gin_models
from tests.layers import composition_checks
from tests.layers.recurrence import recurrent_runs

TARGETS = np.random.default_rng(1).integers(2, 97, [2, 12])
MEMORY = ("memory_length = 12", "segment_length = 4")
# Their positions count from the beginning of a row, or a layer of theirs sees the row alone.
WITHOUT = {
    *("evolved_transformer", "gpt2", "gpt_neo", "gpt_neo_global", "primer_full"),
    *("synthesizer", "synthesizer_as_released", "tensor2tensor_lm"),
    *("gshard_learned", "gshard_learned_capped", "gshard_primer_as_released"),
}
EVERY = gin_models.as_params(
    [(name, None) for name in gin_models.BASES], lambda c: c[0] in ("gemma2", "transformer_xl")
)


def case(architecture, *bindings):
    few = gin_models.fewest_block_bindings(architecture)
    return composition_checks.Case(
        tuple(gin_models.files(architecture)), (*few, "window = 3", *bindings)
    )


@pytest.mark.parametrize("composition", EVERY)
def test_a_memory_of_the_whole_row_changes_nothing(composition):
    architecture = composition[0]
    segments = case(architecture, *MEMORY)
    if architecture in WITHOUT:
        with pytest.raises(ValueError, match="memory"):
            segments.build()
        return
    found, plain = (
        recurrent_runs.at_once(each.build(), composition_checks.variables_of(each), TARGETS)[0]
        for each in (segments, case(architecture))
    )
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-5)
