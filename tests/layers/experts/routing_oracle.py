"""The gatings by the papers' definitions, token by token in numpy."""

import numpy as np

from primer.layers import MixtureOfExperts
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import ARGMAX, TIGHT, X

SIZE = TIGHT["group_size"]
EXPERTS = 4
TOKENS = X.reshape(-1, SIZE, X.shape[-1])


def softmax(x, axis=-1):
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)


def expert(number, x):
    wi = experts_alone.draw("wi/kernel", [EXPERTS, 8, 6])[number]
    wo = experts_alone.draw("wo/kernel", [EXPERTS, 6, 8])[number]
    return np.maximum(x @ wi, 0) @ wo


def switch(p, capacity, real):
    """Yields (token, expert, gate): every token gets its best expert, in order."""
    room = [capacity] * EXPERTS
    for t in np.flatnonzero(real):
        e = p[t].argmax()
        if room[e]:
            room[e] -= 1
            yield t, e, p[t, e]


def switch_max(p, capacity, real):
    """The tokens with the highest gates first."""
    for e in range(EXPERTS):
        fans = [t for t in np.flatnonzero(real) if p[t].argmax() == e]
        for t in sorted(fans, key=lambda t: -p[t, e])[:capacity]:
            yield t, e, p[t, e]


def ntlb(p, capacity, real):
    """A token whose expert is full tries its next one, after all have tried the one before."""
    room, waiting = [capacity] * EXPERTS, list(np.flatnonzero(real))
    for rank in range(EXPERTS):
        for t in list(waiting):
            e = np.argsort(-p[t])[rank]
            if room[e]:
                room[e] -= 1
                waiting.remove(t)
                yield t, e, p[t, e]


def top(count):
    def top_n(p, capacity, real):
        """The best experts of each token, all first choices before all second ones."""
        room = [capacity] * EXPERTS
        for rank in range(count):
            for t in np.flatnonzero(real):
                best = np.argsort(-p[t])[:count]
                e = best[rank]
                if room[e]:
                    room[e] -= 1
                    yield t, e, p[t, e] / p[t, best].sum()

    return top_n


def expert_choice(p, capacity, real):
    """Every expert takes its best tokens; a token's outputs are averaged."""
    taken = [(t, e) for e in range(EXPERTS) for t in np.argsort(-p[:, e])[:capacity] if real[t]]
    for t, e in taken:
        yield t, e, p[t, e] / sum(other == t for other, _ in taken)


ROUTES = {
    "switch": switch,
    "switch_max": switch_max,
    "ntlb": ntlb,
    "top_2": top(2),
    "top_n": top(3),
    "expert_choice": expert_choice,
}


SCOPES = {"expert_choice": "expert_selection_gating"}


def distribution(gating, x, real):
    name = SCOPES.get(gating, f"{gating}_gating") + "/kernel"
    logits = x @ experts_alone.draw(name, [8, EXPERTS])
    if gating == "expert_choice":
        return softmax(np.where(real[:, None], logits, -np.inf), 0)
    return softmax(logits)


def reference(gating, capacity, real):
    y = np.zeros_like(TOKENS)
    for group, x in enumerate(TOKENS):
        p = distribution(gating, x, real[group])
        for t, e, gate in ROUTES[gating](p, capacity, real[group]):
            y[group, t] += gate * expert(e, x[t])
    return y


def loss_of(gating, **settings):
    settings = {**TIGHT, **ARGMAX, "loss_coef": 1.0, **settings}
    layer = MixtureOfExperts(gating=gating, num_experts=EXPERTS, **settings)
    return experts_alone.run(layer, mode="train")["loss"]
