"""Training steps of the vanilla Transformer in PyTorch, compiled: what Primer's are compared with.

    .venv-torch/bin/python benchmarks/torch_step.py small 8 128 10 float32 [--eager]

The model is that of architectures/transformer.gin with activations/relu.gin: a norm before each
layer, one table of relative biases for all layers, one table for embedding and output, no dropout;
PyTorch's Adafactor updates it. bfloat16 is autocast's. The tokens are random. Prints one line of
JSON: tokens per second of the median step, and the seconds of the first one.
"""

import json
import math
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

VOCABULARY = 8192
# d_model, layers, heads, d_ff: gin/sizes/.
SIZES = {"small": (512, 6, 8, 2048), "medium": (768, 12, 12, 3072)}
BUCKETS, FARTHEST = 32, 128
WARM_UP = 2


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a norm."""

    def __init__(self, d_model: int, heads: int, d_ff: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(2))
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))
        self.wi, self.wo = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Returns `[batch, length, d_model]`."""
        y = self.norms[0](x)
        q, k, v = (
            layer(y).view(*y.shape[:2], self.heads, -1).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.o(attended.transpose(1, 2).flatten(2))
        return x + self.wo(functional.relu(self.wi(self.norms[1](x))))


class Model(nn.Module):
    """The language model; returns the mean loss of a batch of token ids."""

    def __init__(self, d_model: int, layers: int, heads: int, d_ff: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, d_model)
        self.biases = nn.Embedding(BUCKETS, heads)
        self.blocks = nn.ModuleList(Block(d_model, heads, d_ff) for _ in range(layers))
        self.norm = nn.LayerNorm(d_model)
        self.register_buffer("buckets", _buckets(length))
        mask = torch.full((length, length), -1e9).triu(1)
        self.register_buffer("mask", mask)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Returns the mean negative log-likelihood of `[batch, length]` tokens."""
        inputs = functional.pad(tokens[:, :-1], (1, 0))
        x = self.embedding(inputs)
        bias = self.biases(self.buckets).permute(2, 0, 1) + self.mask  # [heads, length, length]
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x) * x.shape[-1] ** -0.5
        logits = functional.linear(x, self.embedding.weight).float()
        return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())


def _buckets(length: int) -> torch.Tensor:
    """Returns T5's bucket of each pair of positions, `[length, length]`, for keys to the left."""
    distance = (torch.arange(length)[:, None] - torch.arange(length)[None]).clamp(min=0)
    exact = BUCKETS // 2
    steps = torch.log(distance.float().clamp(min=1) / exact) / math.log(FARTHEST / exact)
    far = (exact + steps * (BUCKETS - exact)).long().clamp(max=BUCKETS - 1)
    return torch.where(distance < exact, distance, far)


def main() -> None:
    """Measures and prints."""
    size, rows, length, steps, dtype = sys.argv[1:6]
    torch.manual_seed(0)
    model = Model(*SIZES[size], int(length))
    optimizer = torch.optim.Adafactor(model.parameters(), lr=1e-3)
    compiled = model if "--eager" in sys.argv else torch.compile(model)
    began, ends = time.perf_counter(), []
    for _ in range(int(steps) + WARM_UP):
        tokens = torch.randint(2, VOCABULARY, (int(rows), int(length)))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = compiled(tokens)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ends.append(time.perf_counter())
    seconds = [after - before for before, after in zip(ends, ends[1:])][WARM_UP - 1 :]
    rate = int(rows) * int(length) / statistics.median(seconds)
    print(json.dumps({"tokens_per_s": rate, "first_step_s": ends[0] - began}))


if __name__ == "__main__":
    main()
