"""A profile as plain data, for JSON."""

import dataclasses
from typing import Any

from primer.profiling import rows
from primer.profiling.profile import Profile
from primer.profiling.rows import Row


def of_profile(profile: Profile) -> dict[str, Any]:
    """Returns a profile as plain data: seconds, FLOPs and bytes of one step, shares of 1."""
    return {
        "protocol": dataclasses.asdict(profile.protocol)
        | {"tracing_overhead": profile.protocol.tracing_overhead},
        "operation_seconds": profile.seconds,
        "product_seconds": profile.product_seconds,
        "flops": profile.flops,
        "model_flops": profile.useful_flops,
        "layers": [_row(profile, row) for row in rows.by_part(profile)],
        "kinds": [_row(profile, row) for row in rows.by_kind(profile)],
        "equal_operations": [_row(profile, row) for row in rows.by_form(profile)],
        "operations": [dataclasses.asdict(operation) for operation in profile.operations],
        "notes": profile.notes,
    }


def _row(profile: Profile, row: Row) -> dict[str, Any]:
    product = profile.protocol.product_speed
    return {
        "name": row.name,
        "kind": row.kind,
        "times": row.times,
        "seconds": row.seconds,
        "share": row.seconds / profile.seconds if profile.seconds else 0.0,
        "seconds_by_phase": row.phases,
        "flops": row.flops,
        "model_flops": row.useful_flops,
        "flops_per_second": row.speed,
        "share_of_product_speed": row.speed / product,
        "product_seconds": row.product_seconds,
        "products_share_of_product_speed": row.product_rate / product,
        "bytes": row.bytes,
        "bytes_per_second": row.bandwidth,
    }
