"""How many rows a batch of an evaluation has.

A graph has one shape, so that the missing rows of the last batch are computed as padding. The rows
of a batch are therefore chosen for the number of windows, by the cost of all batches in tokens:

    batches * (rows * length + BATCH_COST)
"""

import mesh_tensorflow as mtf

from primer.errors import UsageError
from primer.evaluation import scoring_graph
from primer.runtime import mesh

# Bounds the memory of a batch, whose logits are 256 MB with T5's vocabulary. On processors batches
# of twice the tokens were no faster, and took 150 MB more for a small model.
BATCH_TOKENS = 2048

# What a batch costs besides its tokens, in tokens. On two cores it was too little to be measured
# (a small model, batches of 256 to 2,048 tokens); GPUs compute few rows less well than many.
BATCH_COST = 256


def rows_for(
    windows: int,
    length: int,
    mesh_shape: str | mtf.Shape = "",
    layout_rules: str | mtf.LayoutRules = "",
) -> int:
    """Returns the rows of a batch with which a number of windows costs the least.

    Never more than `rows_of_batch` gives without a number.

    Args:
        windows: how many there are, 1 or more.
        length, mesh_shape, layout_rules: as for `Scorer`.
    """
    most = rows_of_batch(None, length, mesh_shape, layout_rules)
    step = rows_step(mesh_shape, layout_rules)

    def cost(rows):
        return -(-windows // rows) * (rows * length + BATCH_COST), -rows

    return min(range(step, most + 1, step), key=cost)


def rows_step(mesh_shape: str | mtf.Shape, layout_rules: str | mtf.LayoutRules) -> int:
    """Returns the number of which the rows are a multiple; arguments as for `Scorer`."""
    layout = mtf.convert_to_layout_rules(layout_rules)
    divisor = mesh.rows_divisor(mtf.convert_to_shape(mesh_shape), layout)
    return divisor * scoring_graph.outer_batch_size()


def rows_of_batch(
    rows: int | None,
    length: int,
    mesh_shape: str | mtf.Shape = "",
    layout_rules: str | mtf.LayoutRules = "",
) -> int:
    """Returns the rows of a batch: as given, or about BATCH_TOKENS tokens; a multiple for the mesh.

    Args:
        rows, length, mesh_shape, layout_rules: as for `Scorer`.

    Raises:
        UsageError: the mesh does not divide the rows.
    """
    divisor = rows_step(mesh_shape, layout_rules)
    if rows is None:
        rows = max(BATCH_TOKENS // length // divisor, 1) * divisor
    if rows < 1 or rows % divisor:
        raise UsageError(
            f"batch size {rows} of the evaluation: expected a multiple of {divisor}, over which "
            "the mesh divides the rows"
        )
    return rows
