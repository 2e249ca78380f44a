"""What one device of a mesh holds, computes, reads and sends in one step."""

import dataclasses
import math

# Roles of variables.
PARAMETER, SLOT, STATE = "parameter", "slot", "state"
# Kinds of memory, in the order in which a picture stacks them.
PARAMETERS, SLOTS, STATES, CASTS, GRADIENTS, ACTIVATIONS, TEMPORARY = KINDS_OF_MEMORY = (
    "parameters",
    "slots",
    "states",
    "weight_casts",
    "gradients",
    "activations",
    "temporary",
)


@dataclasses.dataclass(frozen=True)
class DeviceVariable:
    """A variable's slice on one device.

    Attributes:
        name: its name in a checkpoint.
        part: the part of the model that it belongs to, also an optimizer's slot.
        role: PARAMETER (trainable), SLOT (the optimizer's) or STATE.
        shape: {dimension: size} of the whole variable.
        slice_shape: the sizes of the slice, in the same order.
        dtype: the type in which the device stores it.
        bytes: the size of the slice.
    """

    name: str
    part: str
    role: str
    shape: dict[str, int]
    slice_shape: tuple[int, ...]
    dtype: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class Collective:
    """Equal collectives of one part of the model.

    Attributes:
        kind: what devices do: "all_reduce", "all_to_all" or "permute".
        purpose: what Mesh-TF asked for: "all_concat" is an all-reduce, too, of the whole result.
        axes: the names of the axes of the mesh.
        group_size: the devices that exchange data with one another.
        bytes: the operand of one collective on one device.
        dtype: the operand's type.
        shape: the operand's shape.
        part, phase: where in the model and in the step.
        times: how many of them a step has, iterations of loops included.
    """

    kind: str
    purpose: str
    axes: tuple[str, ...]
    group_size: int
    bytes: int
    dtype: str
    shape: tuple[int, ...]
    part: str
    phase: str
    times: int

    @property
    def total_bytes(self) -> int:
        """The operands of all of them."""
        return self.bytes * self.times

    @property
    def sent_bytes(self) -> float:
        """What one device sends in a step with bandwidth-optimal algorithms.

        In a group of n, an all-reduce in a ring sends 2 (n - 1) / n of its operand, an all-to-all
        (n - 1) / n, a permutation all of it (Chan et al., 2007, "Collective communication: theory,
        practice, and experience").
        """
        others = (self.group_size - 1) / self.group_size
        share = {"all_reduce": 2 * others, "all_to_all": others, "permute": float(others > 0)}
        return share[self.kind] * self.total_bytes


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Equal operations of one part of the model.

    Attributes:
        kind: the type of the TensorFlow operation.
        part, phase: where in the model and in the step.
        flops: of one: 2 for each multiply-add of a product, else 0.
        bytes: what one reads and writes in memory if element-wise operations are fused into their
            only reader; 0 for one that is.
        bytes_unfused: what it reads and writes if each operation reads and writes memory.
        dtype: the type of the first operand.
        times: how many of them a step has, iterations of loops included.
    """

    kind: str
    part: str
    phase: str
    flops: int
    bytes: int
    bytes_unfused: int
    dtype: str
    times: int


@dataclasses.dataclass
class Work:
    """What a part of the model computes in a phase of the step, iterations of loops included.

    Attributes:
        flops: 2 for each multiply-add of products: matrices, convolutions.
        selection_flops: the part of `flops` that multiplies by one-hot tensors, which the cost of a
            model (`primer.cost.products`) leaves out.
        unsplit_flops: `flops` of one device if no device repeated another's work: that of the whole
            mesh, without repetitions, over the number of devices.
        useful_flops: `unsplit_flops` without products with one-hot tensors.
    """

    flops: int = 0
    selection_flops: int = 0
    unsplit_flops: float = 0
    useful_flops: float = 0


@dataclasses.dataclass(frozen=True)
class Moment:
    """A stretch of the step in one part and phase.

    Attributes:
        part, phase: where in the model and in the step.
        bytes: the most memory that is in use at once, variables included.
    """

    part: str
    phase: str
    bytes: int


@dataclasses.dataclass
class Memory:
    """The memory of one device in bytes.

    Attributes:
        variables: {kind of memory: bytes} of parameters, slots and states.
        gradients: {part: bytes} of the gradients of its parameters.
        weight_casts: {part: bytes} of copies of weights in the type of activations that exist from
            the forward pass to the backward pass.
        activations: {part: bytes} of what its forward pass computes and the backward pass reads.
        before_backward: what is in use when the first product of the backward pass begins, without
            variables: activations, casts, and what TensorFlow's executor has computed early.
        peak: the most that is in use at once.
        peak_part, peak_phase: where that is.
        at_peak: {kind of memory: bytes} then; their sum is `peak`.
        timeline: the stretches of the step in order.
    """

    variables: dict[str, int]
    gradients: dict[str, int]
    weight_casts: dict[str, int]
    activations: dict[str, int]
    before_backward: int
    peak: int
    peak_part: str
    peak_phase: str
    at_peak: dict[str, int]
    timeline: list[Moment]

    @property
    def kept(self) -> int:
        """The activations that the backward pass needs, of all parts."""
        return sum(self.activations.values())


@dataclasses.dataclass
class DeviceProgram:
    """The program of one device.

    Attributes:
        mode: "train" or "eval".
        mesh: {axis: size}.
        layout: (dimension, axis) pairs.
        batch: {dimension: size} of the input of a step.
        microbatches: into how many parts a step divides its batch.
        recomputes: whether layers are recomputed in the backward pass.
        activation_dtype: the type of activations.
        parts: the parts of the model, in its order.
        variables: the slices.
        collectives: the collectives, equal ones together.
        work: {(part, phase): what it computes}.
        kernels: the operations that access memory, equal ones together.
        memory: the memory.
        notes: what the numbers do not include, as sentences.
    """

    mode: str
    mesh: dict[str, int]
    layout: list[tuple[str, str]]
    batch: dict[str, int]
    microbatches: int
    recomputes: bool
    activation_dtype: str
    parts: list[str]
    variables: list[DeviceVariable]
    collectives: list[Collective]
    work: dict[tuple[str, str], Work]
    kernels: list[Kernel]
    memory: Memory
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def devices(self) -> int:
        """The number of devices of the mesh."""
        return math.prod(self.mesh.values())

    @property
    def tokens(self) -> int:
        """The tokens of a step, on all devices together."""
        return math.prod(self.batch.values())

    @property
    def parameters(self) -> int:
        """The trainable parameters of the whole model."""
        return sum(math.prod(v.shape.values()) for v in self.variables if v.role == PARAMETER)

    @property
    def device_parameters(self) -> int:
        """The trainable parameters of one device."""
        return sum(math.prod(v.slice_shape) for v in self.variables if v.role == PARAMETER)

    @property
    def flops(self) -> int:
        """The FLOPs of one device in a step."""
        return sum(work.flops for work in self.work.values())

    def work_of(self, part: str | None = None, phase: str | None = None) -> Work:
        """Returns the sum of the work of a part (None: of all) in a phase (None: in all)."""
        total = Work()
        for (own_part, own_phase), work in self.work.items():
            if part in (None, own_part) and phase in (None, own_phase):
                for field in dataclasses.fields(Work):
                    value = getattr(total, field.name) + getattr(work, field.name)
                    setattr(total, field.name, value)
        return total
