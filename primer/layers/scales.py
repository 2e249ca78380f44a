"""Stub, replaced in the next commits."""


def resolve(setting, value, size):
    if value is None:
        return 1.0
    return {"sqrt": size**0.5, "rsqrt": size**-0.5}.get(value, value)
