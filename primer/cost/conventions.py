"""The names of the conventions by which FLOPs are counted (`primer.cost.model_cost`)."""

EXACT = "exact with attention"
SIX_N = "6N"
