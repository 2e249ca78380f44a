"""What a run costs: FLOPs per token, and the speed of a matrix product that they are compared with.

Utilization is the run's speed in FLOP/s, by the FLOPs of its model (EXACT, `primer.cost`), divided
by that of a large matrix product in the type of the activations, measured before the first step in
the same process and multiplied by the number of devices (PaLM, https://arxiv.org/abs/2204.02311,
appendix B, divides by the hardware's peak instead). Tokens of padding count as tokens.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints.description import trained_tokens
from primer.common import build_mode, console
from primer.cost import conventions, model_cost
from primer.runtime import cluster, model_function, precision, session
from primer.runtime.training import product_speed


@dataclasses.dataclass(frozen=True)
class RunCost:
    """The cost of a run.

    Attributes:
        model: the cost of its model.
        product: a description of the measured product: "bfloat16 product of 1,024 x 1,024".
        product_speed: the FLOP/s of the product on one device.
        batch: the sizes of a batch, `[rows, length]`; of an ensemble `[members, rows, length]`.
        devices: the number of devices that compute the model.
    """

    model: model_cost.ModelCost
    product: str
    product_speed: float
    batch: tuple[int, ...]
    devices: int = 1

    @property
    def full_speed(self) -> float | None:
        """The tokens per second of a run with a utilization of 1; None without any product.

        The FLOPs of an ensemble are those of all members for a token of one member.
        """
        if not self.model.training:
            return None
        members = math.prod(self.batch) / trained_tokens.of_batch(self.batch)
        return self.product_speed * self.devices / self.model.training * members

    def describe(self) -> str:
        """Returns the lines at the start of a run, as one paragraph."""
        model, numbers = self.model, self.model.parameters
        active = ""
        if numbers.active != numbers.without_embedding:
            active = f", {numbers.active:,} of them active for a token"
        times = f" x {self.devices} devices" if self.devices > 1 else ""
        return (
            f"{numbers.without_embedding:,} parameters without embedding{active}. Training takes "
            f"{in_units(model.training)}FLOPs per token ({conventions.EXACT}, length "
            f"{model.length:,}; by {conventions.SIX_N} {in_units(model.six_n)}FLOPs). Utilization "
            f"is the share of {in_units(self.product_speed)}FLOP/s{times}, a {self.product} "
            "measured now."
        )


def measure(
    estimator: Any, batch: Sequence[int], hosts: cluster.Cluster | None = None
) -> RunCost | None:
    """Measures the product and prints the cost of a run; None for a model whose cost is not known.

    Args:
        estimator: the LocalEstimator.
        batch: the sizes of a batch, as in `RunCost`.
        hosts: the hosts that train, or None for this process alone.
    """
    cost = model_function.of_estimator(estimator).cost
    if cost is None:
        return None
    with build_mode.building("train"):
        dtype, _ = precision.precision()
    device = device_of(estimator.settings, hosts)
    speed = product_speed.measure(dtype, device, session.estimator_config(estimator))
    size = product_speed.size(dtype, device)
    product = f"{dtype.name} product of {size:,} x {size:,}"
    devices = _devices(estimator.settings, hosts)
    run_cost = RunCost(cost, product, speed, tuple(batch), devices)
    console.say(run_cost.describe())
    return run_cost


def device_of(settings: Mapping[str, Any], hosts: cluster.Cluster | None) -> str:
    """Returns the name of a device of the mesh: its first GPU, else a CPU."""
    names = [name.lower() for name in settings.get("mesh_devices") or ()]
    gpus = [name for name in names if "gpu" in name]
    if gpus:
        return "gpu:0" if hosts else gpus[0]
    # TensorFlow places what has no device on a GPU. Hosts without GPUs train on their CPUs.
    is_free = not hosts and not any("cpu" in name for name in names)
    return "gpu:0" if is_free and tf.config.list_physical_devices("GPU") else "cpu:0"


def _devices(settings: Mapping[str, Any], hosts: cluster.Cluster | None) -> int:
    """Returns the number of devices of the mesh; all processors on one host's CPU are one."""
    names = {name.lower() for name in settings.get("mesh_devices") or ()}
    gpus = sum("gpu" in name for name in names)
    return gpus or (len(hosts.tasks) if hosts else 1)


def in_units(number: float) -> str:
    """Formats a number with three digits and a unit prefix: 874944921600 -> "875 G"."""
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g} "
