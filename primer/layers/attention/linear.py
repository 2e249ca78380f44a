"""Stub, replaced in the next commits."""


def attend(layer, context, params, q, keys_values):
    raise NotImplementedError


def check(layer):
    pass
