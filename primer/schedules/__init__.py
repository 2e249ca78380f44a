"""Learning-rate schedules; importing this package registers them with gin.

A schedule is a function of the step and of the number of steps of the run, as Mesh-TensorFlow calls
`utils.run.learning_rate_schedule`. None is negative, and none goes on past its end.
"""

from primer.schedules.constant import constant_schedule
from primer.schedules.cosine import cosine_schedule
from primer.schedules.gpt_neo import gpt_neo_schedule
from primer.schedules.inverse_sqrt import inverse_sqrt_schedule
from primer.schedules.linear import linear_schedule
from primer.schedules.piecewise import piecewise_schedule
from primer.schedules.polynomial import polynomial_schedule
from primer.schedules.simplified_decays import wsd_s_schedule
from primer.schedules.t2t import t2t_schedule
from primer.schedules.transformer_xl import transformer_xl_schedule
from primer.schedules.warmup_stable_decay import wsd_schedule

__all__ = [
    "constant_schedule",
    "cosine_schedule",
    "gpt_neo_schedule",
    "inverse_sqrt_schedule",
    "linear_schedule",
    "piecewise_schedule",
    "polynomial_schedule",
    "t2t_schedule",
    "transformer_xl_schedule",
    "wsd_s_schedule",
    "wsd_schedule",
]
