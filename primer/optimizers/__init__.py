"""Optimizers for Mesh-TensorFlow graphs; importing this package registers them with gin.

`utils.run.optimizer` names one of them, or one of Mesh-TensorFlow's. Training wraps it in
`TrainingOptimizer`, which clips gradients, averages weights and more, whatever the optimizer is.
"""

from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.lamb import LambOptimizer
from primer.optimizers.lion import LionOptimizer
from primer.optimizers.muon import MuonOptimizer
from primer.optimizers.sgd import SgdMomentumOptimizer
from primer.optimizers.training_optimizer import TrainingOptimizer

__all__ = [
    "AdamWOptimizer",
    "LambOptimizer",
    "LionOptimizer",
    "MuonOptimizer",
    "SgdMomentumOptimizer",
    "TrainingOptimizer",
]
