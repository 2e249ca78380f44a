"""The scope under which a layer keeps its variables, where it is not the name of its class.

Mesh-TensorFlow puts a layer's variables under the name of its class
(`transformer/block_000/layer_001/MoE1D/wi/kernel`), which is thereby part of every checkpoint. A
layer that takes the place of one of Mesh-TensorFlow's must have another name for gin, and still
load the checkpoints of the one it replaces.
"""


def variables_under(scope):
    """Returns a decorator that keeps a layer class's variables under `scope`.

    Place it above `@gin.configurable`, which registers the class under the name it is written
    with.
    """

    def decorate(cls):
        # What `transformer.sublayer_call_layer` reads.
        cls.__name__ = scope
        return cls

    return decorate
