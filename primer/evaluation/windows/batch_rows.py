"""How many rows a batch of an evaluation has."""

import mesh_tensorflow as mtf

from primer.errors import UsageError
from primer.evaluation import scoring_graph
from primer.runtime import mesh

# Bounds the memory of a batch, whose logits are 256 MB with T5's vocabulary. On processors batches
# of twice the tokens were no faster, and took 150 MB more for a small model.
BATCH_TOKENS = 2048


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
    layout = mtf.convert_to_layout_rules(layout_rules)
    divisor = mesh.rows_divisor(mtf.convert_to_shape(mesh_shape), layout)
    divisor *= scoring_graph.outer_batch_size()
    if rows is None:
        rows = max(BATCH_TOKENS // length // divisor, 1) * divisor
    if rows < 1 or rows % divisor:
        raise UsageError(
            f"batch size {rows} of the evaluation: expected a multiple of {divisor}, over which "
            "the mesh divides the rows"
        )
    return rows
