"""Positions of Transformer-XL: biases by distance, and vectors added to the residual stream."""
