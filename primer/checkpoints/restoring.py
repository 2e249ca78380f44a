"""Loads the values of a checkpoint into a session: into variables, and into slices on a mesh.

Each host reads the slices of its own devices, however the checkpoint was sliced when it was
written.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, finite_values, pattern_free, variable_slices
from primer.checkpoints.variable_slices import Part, SlicedVariables
from primer.errors import RunError, UsageError


class Restore:
    """Loads a checkpoint into a session; made before the graph is finalized.

    Variables are float32; values that a checkpoint has in bfloat16 are cast. A checkpoint with a
    value that is NaN or infinite is refused.

    Args:
        variables: what to load.
        optional: those that keep their initial value where the checkpoint lacks them, or has them
            in another shape; for all others that is an error.
        names: name in the graph -> name in the checkpoint, where these are others.
        whole: whether to load masters in place of their slices.
        open_reader: opens the checkpoint. Of a reader with an attribute `reads_file` that is false,
            values are asked one by one, whatever the file has.
    """

    def __init__(
        self,
        variables: Iterable[tf.Variable],
        optional: Iterable[tf.Variable] = (),
        names: Mapping[str, str] | None = None,
        whole: bool = False,
        open_reader: Callable[[str], Any] = checkpoint_files.open_reader,
    ) -> None:
        self._open_reader = open_reader
        self._names = dict(names or {})
        self._variables = {self._name_of(v): v for v in variables}
        self._optional = {variable.op.name for variable in optional}
        own = list(self._variables.values())
        unsliced = own if whole else variable_slices.unsliced(own)
        self._unsliced = {self._name_of(v): v for v in unsliced}
        self._saver = tf.train.Saver(self._unsliced, sharded=True) if self._unsliced else None
        self._slices = None if whole else _Slices.of_graph(own, self._name_of)

    def _name_of(self, variable):
        """Returns the name that a variable has in the checkpoint."""
        return self._names.get(variable.op.name, variable.op.name)

    def __call__(self, sess: tf.Session, path: str) -> None:
        """Loads the values of the checkpoint.

        Raises:
            UsageError: the checkpoint is of another model.
            RunError: it cannot be read, or has values that are not finite.
        """
        reader = self._open_reader(path)
        self._check(reader, path)
        missing = self._missing(reader)
        types = reader.get_variable_to_dtype_map()
        same = all(types.get(name) == v.dtype.base_dtype for name, v in self._variables.items())
        try:
            if same and not missing and getattr(reader, "reads_file", True):
                self._load_all(sess, path)
            else:
                self._load_each(sess, reader, missing)
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise RunError(checkpoint_files.damaged(path, error)) from error
        spoiled = self._first_not_finite(sess)
        if spoiled:
            raise RunError(checkpoint_files.not_finite(path, spoiled, list(self._variables)))

    def _load_all(self, sess, path):
        readable = pattern_free.readable(path)
        if self._saver:
            self._saver.restore(sess, readable)
        if self._slices:
            self._slices.load(sess, readable)

    def _load_each(self, sess, reader, missing):
        """Loads one whole value after another, and initializes those that are missing."""
        for name, variable in self._unsliced.items():
            if variable.op.name in missing:
                sess.run(variable.initializer)
            else:
                variable.load(_value(reader, name, variable), sess)
        if self._slices:
            self._slices.load_each(sess, reader, missing)

    def _first_not_finite(self, sess):
        unsliced = finite_values.first_in_session(sess, self._unsliced.values())
        return unsliced or (self._slices and self._slices.first_not_finite(sess))

    def missing(self, path: str) -> list[str]:
        """Returns the optional variables that a checkpoint lacks or has in another shape.

        Raises:
            RunError: it cannot be read.
        """
        return self._missing(checkpoint_files.open_reader(path))

    def _missing(self, reader):
        variables = [v for v in self._variables.values() if v.op.name in self._optional]
        return [
            v.op.name for v in variables if checkpoint_files.difference(reader, [v], self._names)
        ]

    def _check(self, reader, path):
        required = [v for v in self._variables.values() if v.op.name not in self._optional]
        reason = checkpoint_files.difference(reader, required, self._names)
        if reason:
            raise UsageError(
                f"the checkpoint {path} {reason}: it is of another architecture or vocabulary "
                "than the gin files describe"
            )


class _Slices:
    """Loads the slices of variables.

    Args:
        sliced: the slices, with all weights that are stacked in them.
        names: {name in the graph: name in the checkpoint} of the weights that are loaded.
    """

    def __init__(self, sliced: Sequence[SlicedVariables], names: Mapping[str, str]) -> None:
        self._sliced = sliced
        self._names = names
        self._path = tf.placeholder(tf.string, [], "checkpoint_path")
        # Of stacked weights that are loaded in part, the others keep their values.
        self._whole = [s for s in sliced if all(m.op.name in names for m in s.masters)]
        self._load = tf.group(*map(self._restore, self._whole))
        self._initializers = [one.initializer() for one in sliced]

    @classmethod
    def of_graph(cls, variables: Sequence[tf.Variable], name_of: Any) -> "_Slices | None":
        """Returns the slices of variables of the default graph, or None where there are none."""
        sliced = variable_slices.of_graph(variables)
        return cls(sliced, {v.op.name: name_of(v) for v in variables}) if sliced else None

    def _restore(self, sliced):
        """Returns the operation that reads each part once on each host and assigns it."""
        on_host: dict[str, list[Part]] = {}
        for part in sliced.parts():
            hosts = dict.fromkeys(variable_slices.file_host(h.device) for h in part.holders)
            for host in hosts:
                held = [h for h in part.holders if variable_slices.file_host(h.device) == host]
                one = Part(part.variable, part.begin, part.size, tuple(held), part.index)
                on_host.setdefault(host, []).append(one)
        return tf.group(*(self._read(sliced, *item) for item in on_host.items()))

    def _read(self, sliced, host, parts):
        with tf.device(host):
            values = tf.raw_ops.RestoreV2(
                prefix=self._path,
                tensor_names=[self._names[part.name] for part in parts],
                shape_and_slices=[part.spec for part in parts],
                dtypes=[part.dtype for part in parts],
            )
        return sliced.assign(parts, values)

    def load(self, sess: tf.Session, path: str) -> None:
        """Loads the values of a checkpoint that has all of them, in their types."""
        sess.run(self._load, {self._path: path})
        partly = [sliced for sliced in self._sliced if sliced not in self._whole]
        if partly:
            self._load_parts(sess, tf.train.NewCheckpointReader(path), partly, ())

    def load_each(self, sess: tf.Session, reader: Any, missing: Collection[str]) -> None:
        """Loads one whole value after another; those that are missing get their initial values."""
        for sliced, initializer in zip(self._sliced, self._initializers, strict=True):
            if any(master.op.name in missing for master in sliced.masters):
                sess.run(initializer)
        self._load_parts(sess, reader, self._sliced, missing)

    def _load_parts(self, sess, reader, sliced_variables, missing):
        for sliced in sliced_variables:
            loaded = {
                master.op.name: _value(reader, self._names[master.op.name], master)
                for master in sliced.masters
                if master.op.name in self._names and master.op.name not in missing
            }
            for holder, parts in _held_parts(sliced):
                _load_slice(sess, holder, [(part, loaded.get(part.name)) for part in parts])

    def first_not_finite(self, sess: tf.Session) -> str | None:
        """Returns the name of a loaded variable that is NaN or infinite in a session, or None."""
        for sliced in self._sliced:
            parts = [part for part in sliced.parts() if part.name in self._names]
            held = {part.holders[0].op.name: part.holders[0] for part in parts}
            if finite_values.first_in_session(sess, held.values()) is None:
                continue
            for part in parts:
                value = sess.run(part.holders[0])
                if not finite_values.is_finite(value if part.index is None else value[part.index]):
                    return part.name
        return None


def _held_parts(sliced):
    """Yields each slice with the parts of weights in it."""
    parts = sliced.parts()
    for holder in sliced.slices:
        yield holder, [part for part in parts if any(holder is other for other in part.holders)]


def _load_slice(sess, holder, values):
    """Loads the parts of weights into a slice; those without a value stay as they are."""
    if all(value is None for _, value in values):
        return
    if any(value is None for _, value in values):
        before = sess.run(holder)
        parts = [before[p.index] if v is None else p.of(v) for p, v in values]
    else:
        parts = [part.of(value) for part, value in values]
    whole = parts[0] if values[0][0].index is None else np.stack(parts)
    holder.load(np.asarray(whole).astype(holder.dtype.as_numpy_dtype), sess)


def _value(reader, name, variable):
    """Returns a whole value of a checkpoint in the type of its variable."""
    return np.asarray(reader.get_tensor(name)).astype(variable.dtype.as_numpy_dtype)
