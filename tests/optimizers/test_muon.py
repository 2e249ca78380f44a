"""Muon equals Keras and optax for twenty steps; the matrices of weights; its settings."""

import functools

import jax
import numpy as np
import optax
import pytest
from optax.contrib import _muon

from primer.errors import UsageError
from primer.optimizers import newton_schulz
from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.muon import MuonOptimizer
from tests.optimizers import keras_run, optax_run, optimizer_run, problem

# On a mesh of rows:2, cols:2: neither side, one or both of each matrix are split.
LAYOUTS = [
    optimizer_run.LAYOUT_2X2,
    "vocab:rows",
    "d_model:cols",
    "d_ff:rows,heads:rows",
    "d_ff:rows,d_model:cols",
]
MESHES = [("", "")] + [(optimizer_run.MESH_2X2, layout) for layout in LAYOUTS]
VECTORS = [name for name, dims in problem.DIMS.items() if len(dims) == 1]
MATRICES = [n for n, dims in problem.DIMS.items() if len(dims) == 2 and n != "embedding"]
# Keras and optax's Muon add epsilon elsewhere or share it with Muon's: none of it.
ADAMW = functools.partial(AdamWOptimizer, weight_decay=0.1, epsilon=1e-30)


@functools.cache
def keras_weights():
    keras = pytest.importorskip("keras", minversion="3.11")

    def make(rate):
        return keras.optimizers.Muon(
            rate,
            adam_beta_2=0.95,
            weight_decay=0.1,
            # It multiplies the ratio with the rate, but not with the decay.
            adam_weight_decay=0.1 * 0.5,
            adam_lr_ratio=0.5,
            epsilon=1e-30,
        )

    return keras_run.run(make, VECTORS)


@pytest.mark.parametrize(("mesh", "layout"), MESHES)
def test_it_equals_keras(mesh, layout):
    ours = functools.partial(MuonOptimizer, weight_decay=0.1, others=ADAMW, others_rate=0.5)
    optimizer_run.check(ours, keras_weights(), mesh, layout)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_without_nesterov_it_equals_optax(mesh, layout):
    """Optax's nesterov divides the moments as Nadam does, which Keller Jordan's Muon does not."""
    kinds = dict.fromkeys(MATRICES, optax.contrib.MuonDimensionNumbers())

    def theirs(rate):
        return optax.contrib.muon(
            rate,
            eps=1e-30,
            weight_decay=0.1,
            nesterov=False,
            adam_b2=0.95,
            adam_weight_decay=0.1,
            muon_weight_dimension_numbers={name: kinds.get(name) for name in problem.DIMS},
        )

    ours = functools.partial(
        MuonOptimizer,
        weight_decay=0.1,
        nesterov=False,
        update_scale="spectral",
        others=functools.partial(ADAMW, decays_vectors=True),
    )
    optimizer_run.check(ours, optax_run.run(theirs), mesh, layout)


def oracle(rate, steps=5, scale=_muon.scale_by_shape):
    """Returns Muon of optax's parts, in which every weight is a matrix that does not decay."""
    coefficients = jax.numpy.asarray(newton_schulz.COEFFICIENTS)

    def update(updates, state, params=None):
        one = functools.partial(
            _muon.orthogonalize_via_newton_schulz, ns_coeffs=coefficients, ns_steps=steps, eps=1e-7
        )
        return jax.tree.map(one, updates), state

    return optax.chain(
        optax.trace(0.95, nesterov=True),
        optax.GradientTransformation(lambda params: optax.EmptyState(), update),
        optax.scale(-rate),
    )


def run_oracle(weights, gradients, rates, steps=5):
    """Returns the weights after all steps: each a matrix [rows, columns], or stacked ones."""
    found = {}
    for name, value in weights.items():
        matrices = value.reshape(-1, *value.shape[-2:])
        ends = []
        for index, matrix in enumerate(matrices):
            w = np.asarray(matrix, np.float64)
            state = oracle(0.0).init(w)
            for step, rate in zip(gradients, rates, strict=True):
                g = step[name].reshape(matrices.shape)[index].astype(np.float64)
                change, state = oracle(rate, steps).update(g, state)
                w = w + change * 0.2 * max(w.shape) ** 0.5
            ends.append(np.asarray(w))
        found[name] = np.stack(ends).reshape(value.shape)
    return found
