"""The adaptive embedding: clusters of ids, and an output of log-probabilities."""

from collections.abc import Mapping, Sequence
from typing import Any

from primer.convert.pytorch import embedding
from primer.convert.pytorch.parts import Settings, Weight
from primer.layers.embeddings import clusters
from primer.layers.scales import resolve

_OWN = embedding.ADAPTIVE


def values(
    configuration: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    d_model: int,
    tokens: int,
) -> tuple[dict[str, Any], dict[str, Weight]]:
    """Returns what the templates need of an adaptive embedding, and its weights.

    Args:
        configuration: the description's.
        shapes: {variable under the model's scope: its shape}.
        d_model: the width.
        tokens: how many ids there are.

    Raises:
        UsageError: a setting that the file cannot have.
    """
    own = Settings(_OWN, embedding.parameters_of(_OWN, configuration))
    own.only("logit_cap", None)
    own.without_effect(("width_multiplier",))
    cutoffs = list(own("cutoffs", ()))
    number, tied = len(cutoffs) + 1, own("tied_embeddings", True)
    d_embed = own("d_embed") or d_model
    div_val = own("div_val", 1)
    projected = div_val > 1 or d_embed != d_model
    ties = clusters.flags(f"{_OWN}.tied_projections", own("tied_projections", True), number)
    suffixes = [f"_{i}" if cutoffs else "" for i in range(number)]
    weights: dict[str, Weight] = {}

    def add(place: str, names: Sequence[str], ours: str) -> str:
        """Adds a weight for each of the names and returns the expressions that make them."""
        found = []
        for i, name in enumerate(names):
            weights[f"embedding.{place}.{i}"] = Weight((ours + name,))
            found.append(f"parameter({', '.join(map(str, shapes[ours + name]))})")
        return ", ".join(found)

    found: dict[str, Any] = {"tables": add("tables", suffixes, "embedding")}
    if projected:
        names = suffixes if div_val > 1 else [""]
        found["projections"] = add("projections", names, "embedding_projection")
    untied = [i for i, is_tied in enumerate(ties) if not is_tied and projected]
    pairs = []
    for i in untied:
        name = f"logits/projection{suffixes[i]}"
        weights[f"embedding.own_projections.{i}"] = Weight((name,))
        pairs.append(f'"{i}": parameter({", ".join(map(str, shapes[name]))})')
    if not tied:
        found["kernels"] = add("kernels", suffixes, "logits/kernel")
    found["biases"] = add("biases", suffixes, "logits/bias")
    for name in ("cluster_kernel", "cluster_bias") if cutoffs else ():
        weights[f"embedding.{name}"] = Weight((f"logits/{name}",))
    scale = own("logit_scale")
    scale = ("rsqrt" if tied else 1.0) if scale is None else scale
    factor = resolve(f"{_OWN}.logit_scale", scale, d_model) * own("output_multiplier", 1.0)
    of_ids = resolve(f"{_OWN}.embedding_scale", own("embedding_scale", 1.0), d_model)
    own.check_all_known()
    return found | {
        "adaptive": True,
        "clusters": list(zip([0, *cutoffs], [*cutoffs, tokens])),
        "projected": projected,
        "projection_index": "i" if div_val > 1 else 0,
        "own_projections": ", ".join(pairs),
        "untied": not tied,
        "several": bool(cutoffs),
        "first_width": d_embed,
        "others": len(cutoffs),
        "embedding_scale": "" if of_ids == 1.0 else f" * {of_ids!r}",
        "product_adaptive": "x" if factor == 1.0 else f"x * {factor!r}",
        "masked": True,
    }, weights
