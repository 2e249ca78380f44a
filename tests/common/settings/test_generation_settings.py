"""Legal values of the settings of generated text."""

import pytest

from primer.common.settings import generation_settings as settings
from primer.errors import UsageError


def test_legal_values():
    settings.check_request(1, 128, None, ())
    settings.check_request(2, 1, 0, ("\n",))
    settings.check_sampling(0, None, None)
    settings.check_sampling(1.5, 1, 1.0)


@pytest.mark.parametrize(
    "request_values, words",
    [
        ((0, 1, None, ()), "num_samples = 0"),
        ((1, 0, None, ()), "max_tokens = 0"),
        ((1, 1, -1, ()), "seed = -1"),
        ((1, 1, None, ("",)), "stop = ''"),
    ],
)
def test_a_wrong_request_is_refused(request_values, words):
    with pytest.raises(UsageError, match=words):
        settings.check_request(*request_values)


@pytest.mark.parametrize(
    "sampling, words",
    [
        ((-1, None, None), "temperature = -1"),
        ((float("nan"), None, None), "temperature = nan"),
        ((1, 0, None), "top_k = 0"),
        ((1, None, 0), "top_p = 0"),
        ((1, None, 1.5), "top_p = 1.5"),
    ],
)
def test_wrong_sampling_is_refused(sampling, words):
    with pytest.raises(UsageError, match=words):
        settings.check_sampling(*sampling)
