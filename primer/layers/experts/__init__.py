"""Mixtures of experts; `layer` has the whole in one page."""

from primer.layers.experts.layer import MixtureOfExperts
from primer.layers.experts.two_levels import MixtureOfExperts2D

__all__ = ["MixtureOfExperts", "MixtureOfExperts2D"]
