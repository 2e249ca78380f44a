"""Where the values of a graph's variables are: in one variable each, or in slices on a mesh.

On a mesh of several devices Mesh-TF declares a variable of each whole weight, the master, and one
of each device's slice. Checkpoints are read into the slices and written from them: a master gives a
weight its name and shape, is never initialized, and takes no memory. Mesh-TF's variable of several
stacked weights has slices `[weights, ...]`, of which each weight has its own part.

TensorFlow's checkpoints store slices: a reader that names a variable gets the whole value, and one
that names another slice gets that.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

# The graph's collections; TensorFlow leaves out keys that are tuples where it writes a graph.
_SLICED = ("primer/sliced_variables",)
_FILE_HOST = ("primer/file_host",)
# Values that exist at the same time, of those that are made one after another.
GROUP_BYTES = 1 << 28


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A part of a variable's value: the whole, or a slice that devices of a mesh hold.

    Attributes:
        variable: the variable, which has the part's name and type in a checkpoint.
        begin: the index of its first element in each dimension.
        size: its size in each dimension.
        holders: the variables that hold it, all with the same value.
        index: its position in the first dimension of a stacked holder, or None.
    """

    variable: tf.Variable
    begin: tuple[int, ...]
    size: tuple[int, ...]
    holders: tuple[tf.Variable, ...]
    index: int | None = None

    @property
    def name(self) -> str:
        """The name of the variable."""
        return self.variable.op.name

    @property
    def dtype(self) -> tf.DType:
        """The type in a checkpoint."""
        return self.variable.dtype.base_dtype

    @property
    def spec(self) -> str:
        """The part in TensorFlow's notation, "<shape> <begin>,<size>:..."; "" for the whole."""
        shape = self.variable.shape.as_list()
        if list(self.size) == shape:
            return ""
        ranges = [f"{begin},{size}" for begin, size in zip(self.begin, self.size, strict=True)]
        return f"{' '.join(map(str, shape))} {':'.join(ranges)}"

    def value(self, holder: tf.Variable) -> tf.Tensor:
        """Returns the value that a holder has, on its device, in the type of a checkpoint."""
        with tf.device(holder.device):
            value = holder.read_value()
            return tf.cast(value if self.index is None else value[self.index], self.dtype)

    def of(self, value: Any) -> Any:
        """Returns the part of a whole value, an array or a tensor."""
        ranges = zip(self.begin, self.size, strict=True)
        return value[tuple(slice(begin, begin + size) for begin, size in ranges)]


@dataclasses.dataclass(frozen=True, eq=False)
class SlicedVariables:
    """The slices of one weight, or of several that are stacked.

    Attributes:
        masters: the variables that the weights have their names and shapes from.
        is_stacked: whether a slice has all of them, in its first dimension.
        begins: for each device, the index of the first element of its slice of a weight.
        size: the size of a slice of one weight.
        slices: for each device, its variable.
    """

    masters: tuple[tf.Variable, ...]
    is_stacked: bool
    begins: tuple[tuple[int, ...], ...]
    size: tuple[int, ...]
    slices: tuple[tf.Variable, ...]

    def parts(self) -> list[Part]:
        """Returns the distinct parts of all weights."""
        holders: dict[tuple[int, ...], list[tf.Variable]] = {}
        for begin, held in zip(self.begins, self.slices, strict=True):
            holders.setdefault(begin, []).append(held)
        return [
            Part(master, begin, self.size, tuple(held), index if self.is_stacked else None)
            for index, master in enumerate(self.masters)
            for begin, held in holders.items()
        ]

    def assign(self, parts: Sequence[Part], values: Sequence[tf.Tensor]) -> tf.Operation:
        """Returns the operation that gives the slices the values of all their parts."""
        holders = {holder.op.name: holder for holder in self.slices}
        held: dict[str, list[tf.Tensor]] = {}
        for part, value in zip(parts, values, strict=True):
            for holder in part.holders:
                held.setdefault(holder.op.name, []).append(value)
        updates = []
        for name, of_weights in held.items():
            holder = holders[name]
            with tf.device(holder.device):
                value = tf.stack(of_weights) if self.is_stacked else of_weights[0]
                updates.append(holder.assign(tf.cast(value, holder.dtype.base_dtype)).op)
        return tf.group(*updates)

    def initializer(self) -> tf.Operation:
        """Returns the operation that gives the slices the initial values of their weights."""
        values = {master.op.name: master.initial_value for master in self.masters}
        parts = self.parts()
        return self.assign(parts, [part.of(values[part.name]) for part in parts])


def record(sliced: SlicedVariables) -> None:
    """Records slices of the default graph."""
    tf.get_collection_ref(_SLICED).append(sliced)


def of_graph(variables: Iterable[tf.Variable] | None = None) -> list[SlicedVariables]:
    """Returns the slices of the default graph; only those of given variables, if there are some."""
    found: list[SlicedVariables] = tf.get_collection(_SLICED)
    if variables is None:
        return found
    names = {variable.op.name for variable in variables}
    return [sliced for sliced in found if names & {m.op.name for m in sliced.masters}]


def unsliced(variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    """Returns those variables of the default graph whose values are not in slices."""
    masters = {master.op.name for sliced in of_graph() for master in sliced.masters}
    return [variable for variable in variables if variable.op.name not in masters]


def parts(variables: Iterable[tf.Variable]) -> list[Part]:
    """Returns the distinct parts of variables of the default graph, sorted by name."""
    variables = list(variables)
    names = {variable.op.name for variable in variables}
    found = [
        Part(v, (0,) * v.shape.ndims, tuple(v.shape.as_list()), (v,)) for v in unsliced(variables)
    ]
    for sliced in of_graph(variables):
        found += [part for part in sliced.parts() if part.name in names]
    return sorted(found, key=lambda part: (part.name, part.begin))


def initializer(variables: Iterable[tf.Variable]) -> tf.Operation:
    """Returns the operation that gives variables of the default graph their initial values."""
    variables = list(variables)
    slices = [sliced.initializer() for sliced in of_graph(variables)]
    return tf.group(*(v.initializer for v in unsliced(variables)), *slices)


class SliceInitializer:
    """Gives all slices of the default graph their initial values; made before it is finalized.

    An initial value is that of the whole weight, whatever the mesh. It is made on the first host,
    for a few weights at a time.
    """

    def __init__(self) -> None:
        sliced = of_graph()
        sizes = [sum(map(size_of, one.masters)) for one in sliced]
        initializers = [one.initializer() for one in sliced]
        self._groups = list(groups(list(zip(initializers, sizes, strict=True))))

    def __call__(self, sess: tf.Session) -> None:
        """Gives them their values."""
        for group in self._groups:
            sess.run(group)


def size_of(variable: tf.Variable) -> int:
    """Returns the bytes of a variable's value."""
    return int(variable.shape.num_elements() * variable.dtype.base_dtype.size)


def groups(sized: Sequence[tuple[Any, int]], most: int = GROUP_BYTES) -> Iterator[list[Any]]:
    """Splits (thing, bytes) pairs into lists of things of about `most` bytes."""
    group: list[Any] = []
    size = 0
    for thing, its_bytes in sized:
        group.append(thing)
        size += its_bytes
        if size >= most:
            yield group
            group, size = [], 0
    if group:
        yield group


def use_files_on(device: str) -> None:
    """Lets one host read and write all files of the default graph's checkpoints.

    Args:
        device: a device of the host; the others do not see the directory.
    """
    tf.get_collection_ref(_FILE_HOST)[:] = [device]


def file_host(device: str) -> str:
    """Returns the device, a CPU, that reads and writes files for the values on a device."""
    spec = tf.DeviceSpec.from_string(next(iter(tf.get_collection(_FILE_HOST)), device))
    cpu = tf.DeviceSpec(spec.job, spec.replica, spec.task, "CPU", 0)
    return str(cpu.to_string())
