"""Stub, replaced in the next commits."""


def add(layer, context, v):
    raise NotImplementedError
