"""Profiles of a step: the time of each operation, by kind of operation and by layer.

`synthetic.measured` measures a step of a model that gin describes, on random ids
(`primer profile`); `runtime_callbacks` adds profiles to training (`--profile`).
"""
