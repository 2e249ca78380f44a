"""Writes huggingface.npz and torch.npz: adaptive embeddings and softmaxes of PyTorch, in float32.

    pip install torch==2.13.0 transformers==4.35.2 numpy
    python make.py

A language model without layers: the embedding of the previous token (id 0 before the first one)
goes into the softmax. huggingface.npz has `AdaptiveEmbedding` and `ProjectedAdaptiveLogSoftmax` of
Hugging Face's Transformer-XL, tied as its `tie_weights` does; torch.npz has
`torch.nn.AdaptiveLogSoftmaxWithLoss`, whose tails have no biases, after fixed hidden states. Every
parameter is a normal draw. Keys, of each configuration:

    <name>/config               its settings, as a string
    <name>/state/<parameter>    values; <name>/gradient/<parameter>: of the mean loss
    <name>/log_probs            [4, 8, vocab], <name>/nll: [4, 8] of the targets
    targets                     [4, 8]; hidden: [4, 8, 32], of torch.npz
"""

import pathlib

import numpy as np
import torch
from transformers.models.transfo_xl import modeling_transfo_xl as transfo_xl

VOCABULARY, D_MODEL = 97, 32
HERE = pathlib.Path(__file__).parent
CONFIGS = {
    "equal_widths": {
        "cutoffs": [20, 50],
        "div_val": 1,
        "d_embed": 32,
        "tie_projs": [False, True, True],
    },
    "narrow": {"cutoffs": [20, 50], "div_val": 1, "d_embed": 16, "tie_projs": [False, True, False]},
    "div_val_2": {
        "cutoffs": [20, 50],
        "div_val": 2,
        "d_embed": 32,
        "tie_projs": [False, True, True],
    },
    "untied": {
        "cutoffs": [10, 30, 60],
        "div_val": 3,
        "d_embed": 48,
        "tie_projs": [False] * 4,
        "tie_word_embeddings": False,
    },
    "one_cluster": {"cutoffs": [], "div_val": 1, "d_embed": 32, "tie_projs": [False]},
}


def draw(module):
    with torch.no_grad():
        for value in module.parameters():
            value.normal_(0.0, 0.5 if value.ndim == 1 else 0.6 * value.shape[-1] ** -0.5)


def tie(embedding, softmax, config):
    if config.get("tie_word_embeddings", True):
        for output, table in zip(softmax.out_layers, embedding.emb_layers):
            output.weight = table.weight
    for i, is_tied in enumerate(config["tie_projs"]):
        if is_tied and config["div_val"] == 1 and config["d_embed"] != D_MODEL:
            softmax.out_projs[i] = embedding.emb_projs[0]
        elif is_tied and config["div_val"] != 1:
            softmax.out_projs[i] = embedding.emb_projs[i]


def of_hugging_face(config, targets):
    sizes = {key: config[key] for key in ("cutoffs", "div_val", "d_embed")}
    both = torch.nn.ModuleDict(
        {
            "word_emb": transfo_xl.AdaptiveEmbedding(VOCABULARY, d_proj=D_MODEL, **sizes),
            "crit": transfo_xl.ProjectedAdaptiveLogSoftmax(VOCABULARY, d_proj=D_MODEL, **sizes),
        }
    )
    draw(both)
    tie(both["word_emb"], both["crit"], config)
    inputs = torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1]], 1)
    hidden = both["word_emb"](inputs)
    log_probs = both["crit"](hidden).view(*targets.shape, -1)
    # With labels it leaves out the last state and the first label.
    states = torch.cat([hidden, hidden[:, :1]], 1)
    labels = torch.cat([targets[:, :1], targets], 1)
    nll = both["crit"](states, labels, keep_order=True).view(targets.shape)
    nll.mean().backward()
    found = {"config": str(config), "log_probs": log_probs, "nll": nll}
    for name, value in both.named_parameters(remove_duplicate=False):
        prefix = "transformer." if name.startswith("word_emb") else ""
        found[f"state/{prefix}{name}"] = value
        found[f"gradient/{prefix}{name}"] = value.grad
    return found


def of_torch(hidden, targets):
    config = {"cutoffs": [20, 50], "div_value": 2.0, "head_bias": True}
    softmax = torch.nn.AdaptiveLogSoftmaxWithLoss(D_MODEL, VOCABULARY, **config)
    draw(softmax)
    states, ids = hidden.flatten(0, 1), targets.flatten()
    nll = -softmax(states, ids).output
    found = {
        "config": str(config),
        "log_probs": softmax.log_prob(states).view(*targets.shape, -1),
        "nll": nll.view(targets.shape),
    }
    return found | {f"state/{name}": value for name, value in softmax.named_parameters()}


def save(name, found):
    arrays = {
        key: value.detach().numpy() if torch.is_tensor(value) else np.array(value)
        for key, value in found.items()
        if value is not None
    }
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def main():
    torch.manual_seed(0)
    targets = torch.randint(2, VOCABULARY, [4, 8])
    hidden = torch.randn(4, 8, D_MODEL)
    found = {"targets": targets}
    for name, config in CONFIGS.items():
        for key, value in of_hugging_face(config, targets).items():
            found[f"{name}/{key}"] = value
    save("huggingface", found)
    torch_found = {f"linear/{key}": value for key, value in of_torch(hidden, targets).items()}
    save("torch", {"targets": targets, "hidden": hidden, **torch_found})


if __name__ == "__main__":
    main()
