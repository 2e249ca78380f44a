"""Mesh-TensorFlow tensors by the names and sizes of their dimensions, for tests of costs."""

import mesh_tensorflow as mtf


def mesh():
    """Returns the mesh of a new graph."""
    return mtf.Mesh(mtf.Graph(), "mesh")


def tensor(mesh, **sizes):
    """Returns a tensor of ones; its dimensions are in the order of the arguments."""
    return mtf.ones(mesh, shape(**sizes))


def shape(**sizes):
    """Returns a Shape."""
    return mtf.Shape([mtf.Dimension(name, size) for name, size in sizes.items()])
