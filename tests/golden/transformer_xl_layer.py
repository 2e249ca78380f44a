"""Records transformer_xl_layer.npz: Hugging Face's Transformer-XL, a layer and models.

Run in an environment with torch and transformers 4.35.2 (later ones lack Transformer-XL):

    python tests/golden/transformer_xl_layer.py

Attention with memory, in the cases "plain" and "clamped" (distances up to 4): the outputs of the
layer before residual connection and norm, of `w` after `memory`, and the gradients of their sum
times `weights`. Models without memory, in the cases "shared" and "untied" (biases of the layers;
distances up to 5): the log-probabilities of the token after each of `ids`, and the gradients' norms
of their mean for the tokens that follow. The output has no bias.
"""

import pathlib

import numpy as np
import torch
from transformers.models.transfo_xl import modeling_transfo_xl

HEADS, D_MODEL, D_KV = 4, 32, 8
BATCH, LENGTH, MEMORY = 2, 6, 5
CLAMP_LENGTHS = {"plain": None, "clamped": 4}
UNTIED = {"shared": False, "untied": True}
MODEL = dict(vocab_size=97, cutoffs=[], d_model=D_MODEL, d_embed=D_MODEL, n_head=HEADS)
MODEL |= dict(d_head=D_KV, d_inner=64, div_val=1, n_layer=2, mem_len=0)
MODEL |= dict(clamp_len=5, same_length=False)


def draw(generator, *shape):
    return torch.tensor(generator.standard_normal(shape), dtype=torch.float32)


def record(clamp_length):
    """Returns {name: array} of one case."""
    generator = np.random.default_rng(0)
    layer = modeling_transfo_xl.RelPartialLearnableMultiHeadAttn(HEADS, D_MODEL, D_KV, dropout=0.0)
    for parameter in layer.parameters():
        scale = 0.3 if parameter.ndim > 1 else 1.0
        parameter.data = scale * draw(generator, *parameter.shape)
    w, memory = (draw(generator, n, BATCH, D_MODEL) for n in (LENGTH, MEMORY))
    weights = draw(generator, LENGTH, BATCH, D_MODEL)
    for tensor in (w, memory):
        tensor.requires_grad = True
    outputs = []
    layer.o_net.register_forward_hook(lambda module, given, output: outputs.append(output))
    distance = torch.arange(LENGTH + MEMORY - 1, -1, -1.0)
    if clamp_length is not None:
        distance = distance.clamp(max=clamp_length)
    vectors = modeling_transfo_xl.PositionalEmbedding(D_MODEL)(distance)
    hidden = torch.ones(LENGTH, LENGTH + MEMORY).triu(1 + MEMORY).bool()[:, :, None]
    layer(w, vectors, attn_mask=hidden, mems=memory)
    (outputs[0] * weights).sum().backward()
    found = {"w": w, "memory": memory, "weights": weights, "y": outputs[0]}
    found.update({f"d {name}": x.grad for name, x in (("w", w), ("memory", memory))})
    for name, parameter in layer.named_parameters():
        if "layer_norm" not in name:
            found[f"state/{name}"], found[f"d {name}"] = parameter, parameter.grad
    return {name: x.detach().numpy() for name, x in found.items()}


def record_model(untied):
    """Returns {name: array} of one model."""
    generator = np.random.default_rng(0)
    config = modeling_transfo_xl.TransfoXLConfig(**MODEL, untie_r=untied, attn_type=0)
    model = modeling_transfo_xl.TransfoXLLMHeadModel(config).eval()
    for name, parameter in model.named_parameters():
        parameter.data += 0.2 * draw(generator, *parameter.shape)
        if name.startswith("crit") and name.endswith("bias"):
            parameter.data.zero_()
    ids = torch.tensor(generator.integers(2, 97, [2, 12]))
    log_probs = model(ids).prediction_scores.reshape(2, 12, -1)
    loss = -log_probs[:, :-1].gather(2, ids[:, 1:, None]).mean()
    loss.backward()
    found = {"ids": ids, "log_probs": log_probs, "loss": loss}
    for name, parameter in model.named_parameters():
        if not name.startswith("crit") and parameter.grad is not None:
            found[f"state/{name}"] = parameter
            found[f"gradnorm/{name}"] = parameter.grad.norm()
    return {name: x.detach().numpy() for name, x in found.items()}


if __name__ == "__main__":
    recorded = {case: record(limit) for case, limit in CLAMP_LENGTHS.items()}
    recorded |= {case: record_model(untied) for case, untied in UNTIED.items()}
    arrays = {
        f"{case}/{name}": array for case, found in recorded.items() for name, array in found.items()
    }
    np.savez_compressed(pathlib.Path(__file__).with_suffix(".npz"), **arrays)
