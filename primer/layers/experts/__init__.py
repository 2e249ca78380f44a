"""Mixtures of experts; `layer` describes the computation, and `two_levels` the nested one."""

from primer.layers.experts.layer import MixtureOfExperts
from primer.layers.experts.two_levels import MixtureOfExperts2D

__all__ = ["MixtureOfExperts", "MixtureOfExperts2D"]
