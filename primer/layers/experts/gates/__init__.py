"""Gates of FastMoE that are more than a choice of the best experts.

`scores` has the router's distribution with the noise of each gate, `noisy` Shazeer's noisy top-k,
`as_released` the forms in which FastMoE's own code computes GShard's and Switch's gate.
"""
