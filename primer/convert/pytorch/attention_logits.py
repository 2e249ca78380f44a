"""The logits of softmax attention: products, biases of positions, masks, and what is added."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from primer.convert.pytorch.parts import Settings, Weight
from primer.layers.attention.options import alibi
from primer.layers.scales import resolve

_HIDDEN = "-1e9"


@dataclasses.dataclass
class Logits:
    """What the template of attention needs for the logits.

    Attributes:
        values: values of the template, `logit_lines` among them.
        weights: {parameter: Weight}.
        needs: what else the file must have.
        parameters: lines of the constructor.
    """

    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    weights: dict[str, Weight] = dataclasses.field(default_factory=dict)
    needs: set[str] = dataclasses.field(default_factory=set)
    parameters: list[str] = dataclasses.field(default_factory=list)


def of_layer(own: Settings, sizes: Any, shapes: Mapping[str, Any], values: Any) -> Logits:
    """Returns the logits of an attention layer with a softmax.

    Args:
        own: its settings.
        sizes: attention.Sizes.
        shapes: {variable under the layer's scope: its shape}.
        values: the other values of the template.
    """
    found = Logits()
    lines: list[str] = []
    positions = own("positions")
    xl = isinstance(positions, str) and positions.startswith("transformer_xl")
    if xl:
        lines += _query_bias(found, own, sizes, positions)
    mode = own("synthesize_mode")
    if mode is not None:
        lines += _synthetic(found, own, sizes, shapes, mode)
    if mode is None or "plus" in mode:
        lines.append('logits = torch.einsum("bthd,bshd->bhts", q, k)')
    lines += _capped(own)
    if mode is not None:
        lines += _with_synthetic(mode)
    if xl:
        lines += _by_distance(found, own, sizes, positions)
    if positions == "alibi":
        slopes = ", ".join(map(repr, alibi.slopes(sizes.heads)))
        lines.append(f"slopes = torch.tensor([{slopes}], device=x.device)")
        lines.append("logits = logits - slopes[:, None, None] * rows.distance")
    lines += _table(found, own, sizes)
    lines += _masked(found, own)
    lines += _with_vectors(own, sizes, values)
    lines += _weights(own)
    found.values["logit_lines"] = lines
    return found


def _masked(found: Logits, own: Settings) -> list[str]:
    """Hides the keys that a query does not see."""
    lines, visible = [], "rows.visible"
    if own("kind", "global") == "local":
        visible += f" & (rows.distance < {own('window')})"
    memory = own("recurrence")
    if memory is not None:
        reach = memory["evaluate"]
        number, segment = reach["memory_length"], reach["segment_length"]
        if reach["same_length"]:
            visible += f" & (rows.distance < {number})"
        else:
            found.needs.add("memory")
            place = "rows.place % WINDOW" + (f" % {segment}" if segment else "")
            lines.append(f"# The segment so far, and {number} positions before it.")
            lines.append(f"reach = ({place} + {number})[:, None]")
            visible += " & (rows.distance <= reach)"
    visible = f"({visible})" if "&" in visible else visible
    return [*lines, f"logits = logits.masked_fill(~{visible}, {_HIDDEN})"]


def _capped(own: Settings, name: str = "logits") -> list[str]:
    cap = own("logit_cap")
    return [] if cap is None else [f"{name} = torch.tanh({name} / {cap!r}) * {cap!r}"]


def _table(found: Logits, own: Settings, sizes: Any) -> list[str]:
    kind = own("relative_attention_type")
    if kind is None:
        return []
    buckets = own("relative_attention_num_buckets", 32)
    found.needs.add("t5_bias")
    if kind == "bias_shared":
        found.needs.add(f"shared_bias:{sizes.heads}:{buckets}:{own('relative_max_distance', 128)}")
        return [f"logits = logits + rows.relative_bias[{sizes.heads}]"]
    longest = own("relative_max_distance", 128)
    found.needs.add(f"own_bias:{buckets}:{longest}")
    found.values["own_bias"] = True
    shape = (sizes.heads, buckets)
    found.weights["relative_bias.table"] = Weight(("relative_attention_bias",), shape)
    return ["logits = logits + self.relative_bias(rows)"]


def _weights(own: Settings) -> list[str]:
    extra = own("extra_logit")
    if extra is None:
        return ["weights = logits.softmax(-1).to(v.dtype)"]
    return [
        "# One more logit, of a key without a value.",
        f"extra = torch.full_like(logits[..., :1], {extra!r})",
        "weights = torch.cat([extra, logits], -1).softmax(-1)[..., 1:].to(v.dtype)",
    ]


def _with_vectors(own: Settings, sizes: Any, values: Mapping[str, Any]) -> list[str]:
    number = own("num_persistent_vectors", 0)
    if not number:
        return []
    keys, vectors = "self.persistent_keys", "self.persistent_values"
    if values["same_kv"]:
        keys = vectors = "self.persistent_keys_values"
    repeat = f".repeat_interleave({values['group']}, 0)" if values["grouped"] else ""
    q = "plain_q" if values.get("unrotated") else "q"
    size = sizes.d_kv if keys == vectors else number
    return [
        "# Learned keys and values, which every query sees.",
        f"learned = ({keys} * {sizes.d_kv**0.5!r}){repeat}",
        f'learned = torch.einsum("bthd,hnd->bhtn", {q}, learned)',
        *_capped(own, "learned"),
        "logits = torch.cat([learned, logits], -1)",
        f"learned = ({vectors} * {size**0.5!r}){repeat}.transpose(0, 1)",
        "v = torch.cat([learned.expand(batch, -1, -1, -1), v], 1)",
    ]


def _factor(own: Settings, d_kv: int) -> str:
    scale = own("scale")
    if scale is None and own("qk_norm") is not None:
        scale = "rsqrt"
    if scale is not None:
        return repr(resolve("MultiHeadAttention.scale", scale, d_kv))
    return repr(1.0 if own("fold_scaling_into_initializer", True) else d_kv**-0.5)


def _query_bias(found: Logits, own: Settings, sizes: Any, positions: str) -> list[str]:
    """Transformer-XL: adds the bias u to the queries."""
    shape = (sizes.heads, sizes.d_kv)
    if positions == "transformer_xl" and not own("untie_relative_biases", False):
        found.needs.add(f"xl_shared:{sizes.heads}:{sizes.d_kv}")
        source = "rows.u"
    else:
        found.values["xl_untied"] = positions == "transformer_xl"
        found.weights["u"] = Weight(("r_w_bias",), shape)
        if positions == "transformer_xl":
            found.weights["v_r"] = Weight(("r_r_bias",), shape)
        source = "self.u"
    return [f"q = q + {source} * {_factor(own, sizes.d_kv)}"]


def _by_distance(found: Logits, own: Settings, sizes: Any, positions: str) -> list[str]:
    """Transformer-XL: the products of queries and distances."""
    limit, factor = own("clamp_length_eval"), _factor(own, sizes.d_kv)
    heads = f"{sizes.heads}, {sizes.d_kv}"
    if positions == "transformer_xl":
        found.values["xl"] = True
        found.weights["r"] = Weight(("r",))
        found.needs |= {"distance_vectors", *([f"clamp:{limit}"] if limit is not None else [])}
        where = "self" if own("untie_relative_biases", False) else "rows"
        lines = [
            "vectors = distance_vectors(rows.distance.shape[1], x.device).to(x.dtype)",
            f"r = (vectors @ self.r).view(-1, {heads})",
            f"r_q = q + ({where}.v_r - {where}.u) * {factor}",
            'by_distance = torch.einsum("bthd,nhd->bhtn", r_q, r)',
            "distance = rows.distance.clamp(min=0)",
        ]
    else:
        number = own("num_distances")
        found.values |= {"xl_learned": True, "num_distances": number}
        found.weights["distances"] = Weight(("r_emb",), (number, sizes.heads, sizes.d_kv))
        found.weights["distance_bias"] = Weight(("r_bias",), (number, sizes.heads))
        last = min(number, number if limit is None else limit) - 1
        lines = [
            f"r_q = q - self.u * {factor}",
            'by_distance = torch.einsum("bthd,nhd->bhtn", r_q, self.distances)',
            f"by_distance = by_distance + self.distance_bias.T[:, None] * {factor}",
            "# The last row is that of distance 0.",
            f"distance = {number - 1} - rows.distance.clamp(0, {last})",
        ]
    index = f"distance.expand(batch, {sizes.heads}, -1, -1)"
    return [*lines, f"logits = logits + by_distance.gather(-1, {index})"]


def _synthetic(
    found: Logits, own: Settings, sizes: Any, shapes: Mapping[str, Any], mode: str
) -> list[str]:
    """The Synthesizer: logits that are learned for pairs of positions in the text."""
    heads, keys = sizes.heads, "rows.key_position"

    def add(name: str, ours: str, *shape: int) -> None:
        found.parameters.append(f"self.{name} = parameter({', '.join(map(str, shape))})")
        found.weights[name] = Weight((ours,), shape)

    if mode.endswith("alpha"):
        add("alpha", "alpha", 1)
    if mode.startswith("random"):
        length = shapes["R"][0]
        add("table", "R", length, heads, length)
        lines = [
            f"pairs = rows.position[:, :, None], {keys}[:, None]",
            "synthetic = self.table.transpose(0, 1)[:, pairs[0], pairs[1]].transpose(0, 1)",
        ]
    elif mode == "factorized":
        rank, length = own("factorized_dim"), shapes["R1"][-1]
        add("queries", "R1", rank, heads, length)
        add("keys", "R2", rank, heads, length)
        factors = f"self.queries[:, :, rows.position], self.keys[:, :, {keys}]"
        lines = [f'synthetic = torch.einsum("fhbt,fhbs->bhts", {factors})']
    elif mode == "dense":
        length = shapes["pi/kernel"][-1]
        add("pi", "pi/kernel", heads, sizes.d_kv, length)
        add("pi_bias", "pi/bias", heads, length)
        if "q_bias" not in found.weights and own("biases", "none") not in ("qkv", "all"):
            add("dense_bias", "q_bias", heads, sizes.d_kv)
            relu = "F.relu(q + self.dense_bias)"
        else:
            relu = "F.relu(q)"
        lines = [
            f'synthetic = torch.einsum("bthd,hdbs->bhts", {relu}, self.pi[:, :, {keys}])',
            f"synthetic = synthetic + self.pi_bias[:, {keys}].transpose(0, 1)[:, :, None]",
        ]
    else:
        length = shapes["pi/kernel"][-1]
        add("pi", "pi/kernel", sizes.d_kv, length)
        factors = f"F.relu(q), self.pi[:, {keys}]"
        lines = [f'synthetic = torch.einsum("bthd,dbs->bhts", {factors})']
    found.needs.add(f"max_length:{length}")
    return lines


def _with_synthetic(mode: str) -> list[str]:
    if "plus" not in mode:
        return ["logits = synthetic"]
    if not mode.endswith("alpha"):
        return ["logits = logits + synthetic"]
    return [
        "share = torch.sigmoid(self.alpha)",
        "logits = logits * (1 - share) + synthetic * share",
    ]
