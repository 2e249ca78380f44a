"""What an estimate assumes, in sentences."""

from primer.planning.plans.plan import Plan


def sentences(plan: Plan) -> list[str]:
    """Returns the assumptions of a plan."""
    return [
        _device(plan),
        f"Matrix products reach {plan.time.utilization:.0%} of the peak (--utilization); every "
        f"other operation moves its bytes at the full bandwidth of the memory, {_fusion(plan)}.",
        "Operations and collectives follow one another; with all collectives behind computation a "
        f"step takes {plan.time.overlapped:.4g} s.",
        _interconnect(plan),
        "The program is the one that Mesh-TensorFlow lowers: it gathers slices by an all-reduce of "
        "the whole result. No latency, input or host is counted.",
        "The peak is of buffers that live until their last use; what a compiler and a runtime "
        "reserve is not counted.",
    ]


def _fusion(plan: Plan) -> str:
    chip = plan.chip
    if not chip.shares_host:
        return "with element-wise operations fused into their only reader"
    return f"and each takes {chip.operation_seconds * 1e6:.2g} microseconds more"


def _device(plan: Plan) -> str:
    chip = plan.chip
    where = " (all devices share it)" if chip.shares_host else ""
    peak = f"{plan.time.peak / 1e12:,.4g} TFLOP/s in {plan.program.activation_dtype}"
    bandwidth = chip.memory_bandwidth / (plan.program.devices if chip.shares_host else 1)
    return (
        f"A device is {chip.unit}{where}: {peak}, {plan.capacity / 2**30:,.4g} GiB of memory, "
        f"{bandwidth / 1e9:,.4g} GB/s."
    )


def _interconnect(plan: Plan) -> str:
    chip = plan.chip
    if chip.shares_host:
        return (
            "Collectives are operations of the devices; another device gets a tensor in "
            f"{chip.transfer_seconds * 1e6:.2g} microseconds, without a copy."
        )
    link = f"{chip.link_bandwidth / 1e9:,.4g} GB/s in each direction"
    if chip.torus_axes:
        shared = ", which two cores share," if chip.devices_per_chip > 1 else ""
        return (
            f"A link between neighbors{shared} has {link}; each axis of the mesh is a row of "
            f"chips, a ring where it has a multiple of {chip.ring_of} of them."
        )
    return (
        f"A device has {link} to the other {chip.node - 1} of its node, and "
        f"{chip.network_bandwidth / 1e9:,.4g} GB/s to other nodes; the last axis of the mesh lies "
        "within nodes as far as they go."
    )
