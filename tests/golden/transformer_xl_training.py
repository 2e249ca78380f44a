"""Records transformer_xl_training.npz: Hugging Face's Transformer-XL, trained with memory.

Run in an environment with torch and transformers 4.35.2 (later ones lack Transformer-XL):

    python tests/golden/transformer_xl_training.py

A model reads three consecutive segments of a text. In run "constant" its weights stay `state`; in
run "steps" it takes a step of plain SGD with RATES["steps"] after each segment, so that the memory
of a segment comes from the weights before the step. `loss` has the mean loss of each segment, and
`gradient/<segment>` its gradients. The memory of segment 0 is zeros. Targets are the inputs of one
position later.
"""

import pathlib

import numpy as np
import torch
from transformers.models.transfo_xl import modeling_transfo_xl

BATCH, SEGMENT, SEGMENTS = 2, 4, 3
RATES = {"constant": 0.0, "steps": 0.3}
MODEL = dict(vocab_size=40, cutoffs=[], d_model=16, d_embed=16, n_head=2, d_head=8, d_inner=24)
MODEL |= dict(div_val=1, n_layer=2, mem_len=5, clamp_len=6, same_length=False, untie_r=False)
MODEL |= dict(dropout=0.0, dropatt=0.0, attn_type=0)


def draw(generator, *shape):
    return torch.tensor(generator.standard_normal(shape), dtype=torch.float32)


def make_model():
    """Returns a model whose weights, norms and biases included, all differ."""
    generator = np.random.default_rng(0)
    model = modeling_transfo_xl.TransfoXLLMHeadModel(modeling_transfo_xl.TransfoXLConfig(**MODEL))
    for name, parameter in model.named_parameters():
        mean = 1.0 if name.endswith("layer_norm.weight") else 0.0
        parameter.data = mean + 0.2 * draw(generator, *parameter.shape)
    return model.train()


def as_arrays(named):
    return {name: tensor.detach().numpy().copy() for name, tensor in named}


def train(model, ids, rate):
    """Returns {name: array} of one run; `ids` is `[batch, positions + 1]`."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    memory, losses, found = None, [], {}
    for number in range(SEGMENTS):
        begin = number * SEGMENT
        given = ids[:, begin : begin + SEGMENT]
        targets = ids[:, begin + 1 : begin + SEGMENT + 1]
        output = model(given, mems=memory)
        memory = output.mems
        log_probs = output.prediction_scores.reshape(BATCH, SEGMENT, -1)
        loss = -log_probs.gather(2, targets[..., None]).mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        gradients = as_arrays((n, p.grad) for n, p in model.named_parameters())
        found |= {f"gradient/{number}/{name}": array for name, array in gradients.items()}
        optimizer.step()
    return {"loss": np.array(losses), **found}


def main():
    """Writes the file."""
    drawn = np.random.default_rng(1).integers(2, MODEL["vocab_size"], [BATCH, SEGMENT * SEGMENTS])
    ids = np.pad(drawn, [(0, 0), (1, 0)])  # The first input of a text is 0.
    arrays = {"targets": drawn.reshape(BATCH, SEGMENTS, SEGMENT), "config": np.array(repr(MODEL))}
    arrays |= {f"state/{n}": a for n, a in as_arrays(make_model().named_parameters()).items()}
    for name, rate in RATES.items():
        arrays[f"{name}/rate"] = np.array(rate)
        found = train(make_model(), torch.tensor(ids), rate)
        arrays |= {f"{name}/{key}": array for key, array in found.items()}
    np.savez_compressed(pathlib.Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
