"""Whether all hosts of a run see the files of its checkpoints.

Each host reads and writes its own part of a checkpoint if it does. If one does not, the first host
reads and writes all of it.
"""

import contextlib
import os
import uuid

import tensorflow.compat.v1 as tf

from primer.checkpoints import variable_slices
from primer.common import console, files, user_paths
from primer.runtime import cluster, session


def choose_host(hosts: cluster.Cluster | None, model_dir: str, initial: str | None) -> None:
    """Lets the first host read and write for all, in the default graph, if others cannot.

    Args:
        hosts: the hosts that train, or None for this process alone.
        model_dir: the directory of the run, which exists.
        initial: the checkpoint of other weights that the run starts from, or None.
    """
    if hosts is None:
        return
    blind = _hosts_without(hosts, model_dir, initial)
    if not blind:
        return
    variable_slices.use_files_on(hosts.devices()[0])
    console.say(
        f"{', '.join(blind)} cannot read {model_dir} of this host, which therefore reads and "
        "writes the checkpoints of all hosts, and needs memory for them; a directory that all "
        "hosts have under the same name lets each write its own part"
    )


def _hosts_without(hosts, model_dir, initial):
    """Returns the addresses of the hosts that do not read the same files as this one."""
    others = [address for _, _, address in hosts.tasks[1:]]
    if user_paths.is_pattern(model_dir):  # Read through a link, which only this host has.
        return others
    probe = os.path.join(model_dir, files.unfinished_path("hosts"))
    files.write_whole(probe, uuid.uuid4().hex)
    try:
        paths = [probe, *([f"{initial}.index"] if initial else [])]
        seen = [_contents(hosts, path) for path in paths]
    finally:
        with contextlib.suppress(*files.ERRORS):
            tf.io.gfile.remove(probe)
    return [address for n, address in enumerate(others, 1) if any(own[n] != own[0] for own in seen)]


def _contents(hosts, path):
    """Returns what each host reads from a path; None where it cannot."""
    with tf.Graph().as_default():
        reads = []
        for device in hosts.devices():
            with tf.device(device):
                reads.append(tf.io.read_file(path))
        with tf.Session(session.master(hosts)) as sess:
            return [_value_or_none(sess, read) for read in reads]


def _value_or_none(sess, read):
    try:
        return sess.run(read)
    except cluster.LOST_HOST_ERRORS:
        raise
    except tf.errors.OpError:
        return None
