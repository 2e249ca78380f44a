"""The accelerators that `primer plan` knows: peak FLOP/s, memory, interconnect, with their sources.

The numbers of `--chip` are of one device of the mesh, the unit that Mesh-TensorFlow calls a
processor. On TPU v3 that is a core, half a chip: `--mesh 8x16 --chip v3` is 64 chips in 8x8, as in
Lingvo's `GetNonPod2dMesh([8, 16], [8, 8, 2])`. On v4 and v5p both cores of a chip run as one
device. A GPU is a device.

Sources:

- v3: 123 TFLOP/s in bfloat16, 32 GiB and 900 GB/s a chip of two cores
  (https://cloud.google.com/tpu/docs/v3). Links: 1e11 bytes/s in one direction, by "How to Scale
  Your Model", https://jax-ml.github.io/scaling-book/tpus/. Cloud TPU's page has none, and this one
  also rounds the peak to 140 TFLOP/s, which is not used here.
- v4: 275 TFLOP/s, 32 GiB, 1200 GB/s a chip (https://cloud.google.com/tpu/docs/v4); links 4.5e10
  bytes/s (scaling book).
- v5e: 197 TFLOP/s, 16 GB, 819 GB/s, of 400 GB/s between chips in both directions of four links, 50
  GB/s each (https://cloud.google.com/tpu/docs/v5e; the scaling book has 45).
- v5p: 459 TFLOP/s, 95 GB, 2765 GB/s, 4800 Gbit/s between chips over six links, 100 GB/s each
  (https://cloud.google.com/tpu/docs/v5p; the scaling book has 90).
- a100 (SXM, 80 GB): 312 TFLOP/s in bfloat16, 156 in TF32, 2039 GB/s, NVLink 600 GB/s in both
  directions together (NVIDIA's A100 data sheet); eight 200 Gbit/s adapters for eight GPUs (DGX
  A100's data sheet).
- h100 (SXM, 80 GB): 989 TFLOP/s in bfloat16, 494 in TF32, both without sparsity, 3350 GB/s, NVLink
  900 GB/s (NVIDIA's H100 data sheet); eight 400 Gbit/s adapters for eight GPUs (DGX H100's).
- float32 products of a TPU: no figure is published. The estimate takes a sixth of the bfloat16
  peak, as XLA's highest precision multiplies six times in bfloat16.
- cpu: the devices of a CPU mesh share one processor; `cpu.py` measures it.
"""

import dataclasses
from collections.abc import Mapping

GIB = 2**30
GB = 10**9
TFLOPS = 10**12
_PASSES_OF_FLOAT32 = 6  # bfloat16 products in one of float32, at XLA's highest precision.


@dataclasses.dataclass(frozen=True)
class Chip:
    """One device of a mesh.

    Attributes:
        name: the value of `--chip`.
        unit: what one device is, in words.
        devices_per_chip: 2 where a device is a core of a chip with two.
        peak: {data type of a matrix product: FLOP/s}.
        memory: bytes.
        memory_bandwidth: bytes per second.
        link_bandwidth: bytes per second of a chip's link to one neighbor, in one direction; of a
            GPU's links to the switch of its node, in one direction.
        torus_axes: dimensions of the torus of chips; 0: nodes with a switch.
        ring_of: chips in an axis of a slice from which on, in multiples, it closes to a ring.
        node: devices in a node with a switch.
        network_bandwidth: bytes per second of a device to other nodes, in one direction.
        shares_host: whether all devices are parts of one processor, which `peak`, `memory` and
            `memory_bandwidth` are of, and run each operation alone.
        operation_seconds: what an operation takes besides, if it runs alone.
        transfer_seconds: what it takes that another device of the processor gets a tensor.
    """

    name: str
    unit: str
    peak: Mapping[str, float]
    memory: float
    memory_bandwidth: float
    link_bandwidth: float = 0.0
    devices_per_chip: int = 1
    torus_axes: int = 0
    ring_of: int = 1
    node: int = 1
    network_bandwidth: float = 0.0
    shares_host: bool = False
    operation_seconds: float = 0.0
    transfer_seconds: float = 0.0

    def peak_of(self, dtype: str) -> float:
        """Returns the FLOP/s of products of a data type, by the name TensorFlow has for it."""
        return self.peak.get(dtype) or self.peak["float32"]


def _tpu(name: str, unit: str, teraflops: float, per_chip: int = 1, **numbers) -> Chip:
    """Makes a TPU's device from the numbers of its chip."""
    bfloat16 = teraflops * TFLOPS / per_chip
    memory, bandwidth = (numbers.pop(key) / per_chip for key in ("memory", "memory_bandwidth"))
    peak = {"bfloat16": bfloat16, "float32": bfloat16 / _PASSES_OF_FLOAT32}
    return Chip(name, unit, peak, memory, bandwidth, devices_per_chip=per_chip, **numbers)


V3 = _tpu(
    "v3",
    "a TPU v3 core, half a chip",
    123,
    per_chip=2,
    memory=32 * GIB,
    memory_bandwidth=900 * GB,
    link_bandwidth=100 * GB,
    torus_axes=2,
    ring_of=32,
)
V4 = _tpu(
    "v4",
    "a TPU v4 chip, both cores as one device",
    275,
    memory=32 * GIB,
    memory_bandwidth=1200 * GB,
    link_bandwidth=45 * GB,
    torus_axes=3,
    ring_of=4,
)
V5E = _tpu(
    "v5e",
    "a TPU v5e chip",
    197,
    memory=16 * GB,
    memory_bandwidth=819 * GB,
    link_bandwidth=50 * GB,
    torus_axes=2,
    ring_of=16,
)
V5P = _tpu(
    "v5p",
    "a TPU v5p chip, both cores as one device",
    459,
    memory=95 * GB,
    memory_bandwidth=2765 * GB,
    link_bandwidth=100 * GB,
    torus_axes=3,
    ring_of=4,
)
A100 = Chip(
    "a100",
    "an NVIDIA A100 (SXM, 80 GB)",
    {"bfloat16": 312 * TFLOPS, "float16": 312 * TFLOPS, "float32": 156 * TFLOPS},
    memory=80 * GB,
    memory_bandwidth=2039 * GB,
    link_bandwidth=300 * GB,
    node=8,
    network_bandwidth=25 * GB,
)
H100 = Chip(
    "h100",
    "an NVIDIA H100 (SXM, 80 GB)",
    {"bfloat16": 989 * TFLOPS, "float16": 989 * TFLOPS, "float32": 494 * TFLOPS},
    memory=80 * GB,
    memory_bandwidth=3350 * GB,
    link_bandwidth=450 * GB,
    node=8,
    network_bandwidth=50 * GB,
)
ACCELERATORS = {chip.name: chip for chip in (V3, V4, V5E, V5P, H100, A100)}
CPU = "cpu"
NAMES = (*ACCELERATORS, CPU)


def is_tpu(name: str) -> bool:
    """Returns whether a value of `--chip` is a TPU."""
    return name in ACCELERATORS and ACCELERATORS[name].torus_axes > 0
