"""GShard's experts as Lingvo computes them, or corrected.

`assignment` has the groups, slots and weights, `sampling` the draw of the second expert.
"""
