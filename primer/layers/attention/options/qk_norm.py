"""Stub, replaced in the next commits."""


def normalize(context, x, key_dim, kind, epsilon, name):
    raise NotImplementedError


def check(kind):
    pass
