"""All values of a graph at one step, which a thread writes as a checkpoint while training goes on.

A value is taken where it is: of a slice that several devices hold, one takes it. Each host keeps
the values of its own devices in its memory and writes them to a file of its own, so that no host
has all of them. On CPUs nothing is copied: a value of one step exists as long as it is needed, and
the next step makes a new one.
"""

import os
from collections.abc import Iterable

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, variable_slices
from primer.checkpoints.variable_slices import Part
from primer.common import files


class Snapshot:
    """The operations that take the values of variables, write them and forget them.

    Args:
        variables: what a checkpoint has; the graph is not finalized yet.
    """

    def __init__(self, variables: Iterable[tf.Variable]) -> None:
        self._parts: list[Part] = variable_slices.parts(variables)
        with tf.name_scope("snapshot"):
            hosts = _hosts_of_parts(self._parts)
            handles = [_handle(part, host) for part, host in zip(self._parts, hosts, strict=True)]
            triples = list(zip(self._parts, hosts, handles, strict=True))
            self._take = tf.group(*(_take(*triple) for triple in triples))
            self._forget = tf.group(*(_forget(*triple[1:]) for triple in triples))
            self._floating = [part.name for part in self._parts if part.dtype.is_floating]
            self._are_finite = tf.stack([_is_finite(*t) for t in triples if t[0].dtype.is_floating])
            self._prefixes: list[tf.Tensor] = []
            self._writes = [
                self._write_of_host(host, [t for t in triples if _file_host(t[1]) == host])
                for host in sorted(set(map(_file_host, hosts)))
            ]
            self._merge_from = tf.placeholder(tf.string, [len(self._writes)], "parts")
            self._merge_to = tf.placeholder(tf.string, [], "merged")
            self._merge = tf.raw_ops.MergeV2Checkpoints(
                checkpoint_prefixes=self._merge_from,
                destination_prefix=self._merge_to,
                delete_old_dirs=False,
            )

    def _write_of_host(self, host, triples):
        with tf.device(host):
            prefix = tf.placeholder(tf.string, [], "prefix")
            self._prefixes.append(prefix)
            return tf.raw_ops.SaveV2(
                prefix=prefix,
                tensor_names=[part.name for part, _, _ in triples],
                shape_and_slices=[part.spec for part, _, _ in triples],
                tensors=[_read(*triple) for triple in triples],
            )

    def take(self, sess: tf.Session) -> None:
        """Takes the values of this moment; no step may run meanwhile."""
        sess.run(self._take)

    def forget(self, sess: tf.Session) -> None:
        """Frees the memory of the values that were taken."""
        sess.run(self._forget)

    def first_not_finite(self, sess: tf.Session) -> str | None:
        """Returns the name of a variable whose value is NaN or infinite, or None."""
        are_finite = sess.run(self._are_finite)
        return None if are_finite.all() else self._floating[int(np.argmin(are_finite))]

    def write(self, sess: tf.Session, path: str) -> None:
        """Writes the files of a checkpoint; its index, which is last, makes it one.

        Args:
            sess: the session.
            path: the path of the checkpoint, without a suffix.
        """
        _delete_other_shards(path, len(self._writes))
        if len(self._writes) == 1:  # TensorFlow renames the data, then the index.
            sess.run(self._writes, {self._prefixes[0]: path})
            return
        folder = files.unfinished_path(path)
        if tf.io.gfile.exists(folder):
            tf.io.gfile.rmtree(folder)
        tf.io.gfile.makedirs(folder)
        prefixes = [os.path.join(folder, f"part-{n}") for n in range(len(self._writes))]
        sess.run(self._writes, dict(zip(self._prefixes, prefixes, strict=True)))
        merged = os.path.join(folder, os.path.basename(path))
        sess.run(self._merge, {self._merge_from: prefixes, self._merge_to: merged})
        # TensorFlow writes a merged index in place: here it gets its name when it is complete.
        for file in sorted(checkpoint_files.files_of(merged), key=lambda name: ".index" in name):
            new = os.path.join(os.path.dirname(path), os.path.basename(file))
            tf.io.gfile.rename(file, new, overwrite=True)
        tf.io.gfile.rmtree(folder)


def _hosts_of_parts(parts):
    """Returns the host that takes each part: of those that hold it, the one with the least."""
    sizes: dict[str, int] = {}
    chosen = []
    for part in parts:
        hosts = [_host(holder.device) for holder in part.holders]
        host = min(hosts, key=lambda name: sizes.get(name, 0))
        sizes[host] = sizes.get(host, 0) + int(np.prod(part.size)) * part.dtype.size
        chosen.append(host)
    return chosen


def _host(device):
    """Returns the CPU of a device's host."""
    spec = tf.DeviceSpec.from_string(device)
    return tf.DeviceSpec(spec.job, spec.replica, spec.task, "CPU", 0).to_string()


def _file_host(host):
    return variable_slices.file_host(host)


def _handle(part, host):
    """Returns the resource that keeps a part's value."""
    with tf.device(host):
        name = f"snapshot/{part.name}/{part.spec}"
        return tf.raw_ops.VarHandleOp(dtype=part.dtype, shape=part.size, shared_name=name)


def _take(part, host, handle):
    holder = next(h for h in part.holders if _host(h.device) == host)
    value = part.value(holder)
    with tf.device(host):
        if holder.dtype._is_ref_dtype:  # Its buffer would change with the variable.
            value = tf.raw_ops.DeepCopy(x=value)
        return tf.raw_ops.AssignVariableOp(resource=handle, value=value)


def _read(part, host, handle):
    with tf.device(host):
        value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=part.dtype)
        value.set_shape(part.size)
        return value


def _forget(host, handle):
    with tf.device(host):
        return tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)


def _is_finite(part, host, handle):
    with tf.device(host):
        return tf.reduce_all(tf.is_finite(_read(part, host, handle)))


def _delete_other_shards(path, number):
    """Deletes what a killed run left of this checkpoint in another number of files."""
    endings = {
        name.rsplit("-of-", 1)[1] for name in checkpoint_files.files_of(path) if "-of-" in name
    }
    if endings - {f"{number:05d}"}:
        checkpoint_files.delete(path)
