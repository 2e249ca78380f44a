"""What a sweep asks of a Ray cluster. This module does not import Ray, which takes two seconds."""

import dataclasses
import importlib.util

from primer.common import checks
from primer.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Request:
    """What a sweep asks of a Ray cluster.

    Attributes:
        address: of the cluster, as HOST:PORT or "auto"; None for that of RAY_ADDRESS, or the one
            that `ray start` began on this machine, or a new one on this machine alone.
        cpus: the processors of each run.
        gpus: the GPUs of each run, which may be a part of one.
        waits_for_nodes: whether to wait where no node has that, for an autoscaler to start one.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float = 0.0
    waits_for_nodes: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            UsageError: one is not legal, or the address is that of a Ray client.
        """
        checks.whole_number("--cpus_per_run", self.cpus)
        is_part = 0 <= self.gpus <= 1
        if not is_part and not (self.gpus > 0 and float(self.gpus).is_integer()):
            raise UsageError(
                f"--gpus_per_run = {self.gpus:g}: expected a whole number of 0 or more, or a part "
                "of one GPU, as 0.5"
            )
        if self.address and self.address.startswith("ray://"):
            raise UsageError(
                f"--address {self.address}: a Ray client's address; expected HOST:PORT of the head "
                "node, as `ray start` prints it, and the command on a node of the cluster"
            )

    def __str__(self) -> str:
        """What a run needs, as "4 CPUs and 1 GPU"."""
        return as_text({"CPU": self.cpus, "GPU": self.gpus})


def as_text(resources: dict[str, float]) -> str:
    """Returns resources of Ray as "8 CPUs and 1 GPU"; those that are 0 are left out."""
    parts = [
        f"{resources[name]:g} {name}{'' if resources[name] == 1 else 's'}"
        for name in ("CPU", "GPU")
        if resources.get(name)
    ]
    return " and ".join(parts) or "no CPU"


def require_ray() -> None:
    """Raises UsageError if Ray is not installed; imports nothing of it."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError(
            "--engine ray needs the package ray: install Primer with the extra ray, "
            "pip install 'primer[ray]'"
        )
