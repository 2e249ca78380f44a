"""Feed-forward layers, dense or of experts, and the Evolved Transformer's convolutions."""

from collections.abc import Mapping
from typing import Any

from primer.convert.pytorch.parts import Part, Settings, Weight
from primer.convert.pytorch.template import render
from primer.layers.experts import settings as expert_settings

_ACTIVATIONS = {
    "relu": "F.relu({})",
    "squared_relu": "F.relu({}).square()",
    "gelu": 'F.gelu({}, approximate="tanh")',
    "gelu_exact": "F.gelu({})",
    "swish": "F.silu({})",
    "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})",
    "linear": "{}",
    None: "{}",
}
_BY_LOGITS = ("naive", "noisy")
_NO_NOISE = ("argmax", "input_jitter", "input_dropout")


def dense(layer: Mapping[str, Any]) -> Part:
    """Returns the class of a DenseReluDense."""
    settings = Settings("DenseReluDense", layer)
    values, weights = _values(settings, "x @ self.wi{i}", "self.wi{i}_bias")
    settings.check_all_known()
    return Part("FeedForward", render("feed_forward", {**values, "name": "CLASS"}), weights)


def experts(layer: Mapping[str, Any]) -> Part:
    """Returns the class of a MixtureOfExperts, of which evaluation drops no token."""
    own = Settings("MixtureOfExperts", layer)
    feed_forward = Settings(own.owner, own("experts"))
    gating = Settings(own.owner, own("gating"))
    phase = Settings(own.owner, gating("evaluation"))
    values, weights = _values(feed_forward, "x @ self.wi{i}[e]", "self.wi{i}_bias[e]")
    kind = gating.only("gating", "switch", "switch_max", "ntlb", "top_2", "top_n", *_BY_LOGITS)
    count = {"top_2": 2, "top_n": gating("num_experts_per_token")}.get(kind, 1)
    count = gating("num_experts_per_token") if kind in _BY_LOGITS else count
    policies = "all"
    if kind in expert_settings.WITH_SECOND_POLICY:
        policies = phase.only("second_policy", "all", "none", "threshold")
    phase.only("switch_policy", *_NO_NOISE)
    corrects = bool(gating("assignment")) and not gating("assignment")["legacy_mtf_behavior"]
    router = expert_settings.GATINGS[kind]
    has_bias = gating("router_bias")
    has_bias = kind == "naive" if has_bias is None else has_bias
    weights["router"] = Weight((f"{router}/kernel",))
    if has_bias:
        weights["router_bias"] = Weight((f"{router}/bias",))
    values |= {
        "name": "CLASS",
        "experts": own("num_experts"),
        "chosen": count,
        "gating": kind,
        "router_bias": has_bias,
        "by_logits": kind in _BY_LOGITS,
        "normalized": count > 1 and not corrects,
        "normalized_last": corrects,
        "threshold": policies == "threshold",
        "threshold_value": phase("second_threshold"),
        "first_only": policies == "none",
    }
    gating.without_effect(
        ("fastmoe_workers", "group_size", "min_expert_capacity", "ntlb_top_k", "owner")
    )
    gating.without_effect(("switch_temperature", "uniform"))
    phase.without_effect(("capacity_factor", "second_policy"))
    for settings in (own, feed_forward, gating, phase):
        settings.check_all_known()
    unused = (f"{router}_noise/kernel",) if kind == "noisy" else ()
    return Part("Experts", render("experts", values), weights, unused=unused)


def evolved(layer: Mapping[str, Any]) -> Part:
    """Returns the class of an EvolvedConvolution."""
    settings = Settings("EvolvedConvolution", layer)
    text = render("evolved", {"norm_epsilon": settings("norm_epsilon")})
    settings.check_all_known()
    weights = {
        f"norm.{name}": Weight((f"layer_prepostprocess/layer_norm/layer_norm_{name}",))
        for name in ("scale", "bias")
    }
    scopes = {"left": ("sep_conv11x1", 11), "right": ("sep_conv7x1_1", 7)}
    for place, (scope, taps) in (scopes | {"last": ("sep_conv7x1_2", 7)}).items():
        scope += "/separable_conv1d"
        first = f"{scope}/depthwise_conv_hack/depthwise_dense"
        # Ours have the oldest position first.
        kernels = tuple(f"{first}_{i}/kernel" for i in reversed(range(taps)))
        weights[f"{place}.convolution.taps"] = Weight(kernels)
        weights[f"{place}.bias"] = Weight((f"{first}_0/bias",))
        weights[f"{place}.pointwise"] = Weight((f"{scope}/pointwise_dense/kernel",))
        weights[f"{place}.pointwise_bias"] = Weight((f"{scope}/pointwise_dense/bias",))
    needs = frozenset({"convolution", "shifts", "layer_norm"})
    return Part("EvolvedConvolution", text, weights, needs)


def _values(settings: Settings, factor: str, bias: str) -> tuple[dict[str, Any], dict[str, Weight]]:
    """Returns what the template of a feed-forward layer needs, and its weights."""
    activations = settings("activation")
    activations = activations if isinstance(activations, list) else [activations]
    for activation in activations:
        if activation not in _ACTIVATIONS:
            known = ", ".join(str(name) for name in _ACTIVATIONS)
            raise settings.refusal("activation", activation, f"one of {known}")
    has_bias = settings("use_bias")
    settings.without_effect(("owner", "dropout_rate"))
    several = len(activations) > 1
    weights = {}
    factors = []
    for i, activation in enumerate(activations):
        ours, own = (f"wi_{i}", f"wi{i}") if several else ("wi", "wi")
        weights[own] = Weight((f"{ours}/kernel",))
        text = factor.format(i=i if several else "")
        if has_bias:
            weights[f"{own}_bias"] = Weight((f"{ours}/bias",))
            text += " + " + bias.format(i=i if several else "")
        if len(activations) > 1 and activation in ("linear", None):
            text = f"({text})"
        factors.append(_ACTIVATIONS[activation].format(text))
    weights["wo"] = Weight(("wo/kernel",))
    if has_bias:
        weights["wo_bias"] = Weight(("wo/bias",))
    numbers = [str(i) if several else "" for i in range(len(activations))]
    terms = [f"{name or 'linear'}(x wi{number})" for name, number in zip(activations, numbers)]
    return {
        "factors": numbers,
        "hidden": settings("hidden_size"),
        "bias": has_bias,
        "product": " * ".join(factors),
        "doc": f"{' * '.join(terms)} wo",
    }, weights
