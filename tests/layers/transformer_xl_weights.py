"""The weights of Transformer-XL's embedding and softmax, as AdaptiveEmbedding has them."""

import numpy as np

MULTIPLE = 128


def settings(config):
    """Returns the bindings of AdaptiveEmbedding for a model of Hugging Face, as gin writes them.

    Args:
        config: a dict with cutoffs, div_val, and, if they are not the defaults, d_embed, tie_projs,
            tie_word_embeddings and proj_share_all_but_first, as TransfoXLConfig has them.
    """
    return {
        "cutoffs": config["cutoffs"],
        "div_val": config["div_val"],
        "d_embed": config.get("d_embed"),
        "tied_embeddings": config.get("tie_word_embeddings", True),
        "tied_projections": tied_projections(config),
        "embedding_scale": "sqrt",
        "logit_scale": 1.0,
    }


def tied_projections(config):
    """Returns the flag of each cluster; those of the original's proj_share_all_but_first."""
    all_but_first = [False] + [True] * len(config["cutoffs"])
    if config.get("proj_share_all_but_first"):
        return all_but_first
    return config.get("tie_projs", [False] * (len(config["cutoffs"]) + 1))


def embedding_variables(state, config, padding=0.0):
    """Returns {name in a checkpoint: array} of a state, or of the gradients by a state.

    Args:
        state: {name of PyTorch: array}, those of `transformer.word_emb` and `crit` among others.
        config: as of `settings`.
        padding: the value of rows that no id has.
    """
    own = settings(config)
    vocabulary = sum(v.shape[0] for k, v in state.items() if k.endswith(".bias") and _is_output(k))
    bounds = [0, *own["cutoffs"], vocabulary]
    tables = _cut(state, "transformer.word_emb.emb_layers.{}.weight", bounds)
    outputs = _cut(state, "crit.out_layers.{}.weight", bounds)
    biases = _cut(state, "crit.out_layers.{}.bias", bounds)
    found = {}
    for i, (table, output, bias) in enumerate(zip(tables, outputs, biases, strict=True)):
        end = f"_{i}" if len(tables) > 1 else ""
        found[f"embedding{end}"] = _padded(table, padding)
        found[f"logits/bias{end}"] = _padded(bias, padding)
        if not own["tied_embeddings"]:
            found[f"logits/kernel{end}"] = _padded(output, padding).T
        elif not np.array_equal(table, output):
            raise ValueError("the output's table is not the embedding's")
        shared = i if own["div_val"] > 1 else 0
        projection = state.get(f"transformer.word_emb.emb_projs.{shared}")
        if projection is None:
            continue
        found[f"embedding_projection{end if own['div_val'] > 1 else ''}"] = projection.T
        if not own["tied_projections"][i]:
            found[f"logits/projection{end}"] = state[f"crit.out_projs.{i}"]
    if len(tables) > 1:
        found["logits/cluster_kernel"] = state["crit.cluster_weight"].T
        found["logits/cluster_bias"] = state["crit.cluster_bias"]
    return {f"transformer/{name}": value for name, value in found.items()}


def _is_output(name):
    return name.startswith("crit.out_layers.")


def _cut(state, name, bounds):
    """Returns an array for each cluster; the original has a single one with div_val = 1."""
    if name.format(1) in state:
        return [state[name.format(i)] for i in range(len(bounds) - 1)]
    whole = state[name.format(0)]
    return [whole[start:end] for start, end in zip(bounds, bounds[1:])]


def _padded(rows, value):
    missing = -len(rows) % MULTIPLE
    widths = [(0, missing)] + [(0, 0)] * (rows.ndim - 1)
    return np.pad(rows, widths, constant_values=value)
