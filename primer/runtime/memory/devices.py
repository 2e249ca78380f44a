"""Where a run's steps are in memory: this host's CPUs together, or each of its GPUs."""

from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from primer.runtime import cluster
from primer.runtime.memory import machine


class Devices:
    """The devices of a run.

    Args:
        settings: the estimator's.
        hosts: the hosts that train, or None for this process alone.

    Attributes:
        number: how many GPUs, or hosts, have as much memory each.
        where: words for what one number of memory is of, after "a step"; empty for one device.
    """

    def __init__(self, settings: Mapping[str, Any], hosts: cluster.Cluster | None) -> None:
        names = [tf.DeviceSpec.from_string(name) for name in _names(settings)]
        gpus = [name for name in names if name.device_type == "GPU"]
        self._host = hosts.tasks[0][:2] if hosts else None
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        is_free = not any(name.device_type == "CPU" for name in names)
        self._gpu: int | None = None
        if not hosts and (gpus or (has_gpu and is_free)):
            self._gpu = gpus[0].device_index or 0 if gpus else 0
        self.number, self.where = 1, ""
        if self._gpu is not None:
            self.number = max(len(gpus), 1)
            self.where = " on each GPU" if len(gpus) > 1 else " on the GPU"
        elif hosts:
            self.number, self.where = len(hosts.tasks), " on each host"

    def counts(self, operation: tf.Operation) -> bool:
        """Returns whether an operation's results are in the memory of the first GPU, or host."""
        device = tf.DeviceSpec.from_string(operation.device)
        if self._host is not None and device.job is not None:
            return (device.job, device.task) == self._host
        if self._gpu is None or device.device_type is None:
            return True
        return (device.device_type, device.device_index) == ("GPU", self._gpu)

    def available(self, sess: tf.Session, of_host: int | None) -> int | None:
        """Returns the bytes for a step: a GPU's limit, else what the host had before the session.

        Args:
            sess: the session.
            of_host: `machine.available` before it.
        """
        if self._gpu is None:
            return of_host
        limits = [d.memory_limit_bytes for d in sess.list_devices() if d.device_type == "GPU"]
        return limits[self._gpu] if self._gpu < len(limits) else None

    def measured(self, before: int | None) -> tuple[int | None, str]:
        """Returns the most bytes that were in use, and how they were measured.

        Args:
            before: what this process had in memory before the session.
        """
        if self._gpu is not None:
            try:
                info = tf.config.experimental.get_memory_info(f"GPU:{self._gpu}")
            except (ValueError, RuntimeError, tf.errors.OpError):
                return None, ""
            return int(info["peak"]), "TensorFlow's allocator of the GPU, since the start"
        most = machine.most_resident()
        if most is None or before is None:
            return None, ""
        return most - before, "of the process, above what it had before the session"


def _names(settings: Mapping[str, Any]) -> list[str]:
    devices = settings.get("mesh_devices") or ()
    return [name if name.startswith("/") else f"/{name}" for name in devices if name]
