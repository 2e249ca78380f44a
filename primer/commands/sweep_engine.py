"""Where `primer sweep` runs its processes: the options, and the workers that they name."""

import argparse
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from primer.common import checks
from primer.errors import UsageError
from primer.experiments.sweeps.workers import local, retries
from primer.experiments.sweeps.workers.interface import Workers
from primer.experiments.sweeps.workers.ray_cluster.request import Request, require_ray

LOCAL, RAY = "local", "ray"


@dataclasses.dataclass(frozen=True)
class Engine:
    """Where processes run.

    Attributes:
        request: what is asked of a Ray cluster; None for this machine.
        most_retries: how often a run whose worker was lost goes on.
    """

    request: Request | None = None
    most_retries: int = retries.MOST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of running to the parser of a subcommand."""
    parser.add_argument(
        "--engine",
        choices=(LOCAL, RAY),
        default=LOCAL,
        help="where the processes run: local (default), on this machine; ray, on a Ray cluster, "
        "whose nodes share the sweep's output (extra ray)",
    )
    group = parser.add_argument_group("with --engine ray")
    group.add_argument(
        "--address",
        help="HOST:PORT of the cluster, or auto (default: RAY_ADDRESS, else the cluster that `ray "
        "start` began on this machine, else a new one on this machine alone)",
    )
    group.add_argument(
        "--cpus_per_run", type=int, help="the processors of a run or an evaluation (default 1)"
    )
    group.add_argument(
        "--gpus_per_run", type=float, help="its GPUs; 0.5: two of them share one (default 0)"
    )
    group.add_argument(
        "--wait_for_nodes",
        action="store_true",
        default=None,
        help="wait for an autoscaler where no node has what a run needs (default: refuse)",
    )
    group.add_argument(
        "--retries",
        type=int,
        help="how often a run goes on, from its last checkpoint, after its worker or its node was "
        f"lost (default {retries.MOST})",
    )


def from_options(options: argparse.Namespace) -> Engine:
    """Returns what the options name.

    Raises:
        UsageError: an illegal value, or an option of Ray without --engine ray.
    """
    if options.engine == LOCAL:
        for name in ("address", "cpus_per_run", "gpus_per_run", "wait_for_nodes", "retries"):
            value = getattr(options, name)
            if value is not None:
                text = "" if value is True else f" {value}"
                raise UsageError(f"--{name}{text}: only with --engine ray")
        return Engine()
    cpus = 1 if options.cpus_per_run is None else options.cpus_per_run
    gpus = options.gpus_per_run or 0.0
    request = Request(options.address, cpus, gpus, bool(options.wait_for_nodes))
    most = retries.MOST if options.retries is None else options.retries
    return Engine(request, checks.whole_number("--retries", most, least=0))


@contextlib.contextmanager
def opened(
    engine: Engine, count: int, folder: str, programs: Sequence[str], say: Callable[[str], None]
) -> Iterator[Workers]:
    """Yields workers, which end with the block.

    Args:
        engine: where they are.
        count: how many processes run at a time.
        folder: the sweep's output.
        programs: the paths of the programs that run there.
        say: shows a message.

    Raises:
        UsageError: there are too few processors, no cluster can be reached, or it does not have
            what a run needs.
    """
    if engine.request is None:
        yield local.LocalWorkers(count)
        return
    require_ray()
    from primer.experiments.sweeps.workers.ray_cluster import cluster, ray_workers

    with cluster.connected(engine.request) as description:
        say(description)
        workers = ray_workers.RayWorkers(engine.request, count, folder, programs, say)
        with workers.opened():
            yield workers
