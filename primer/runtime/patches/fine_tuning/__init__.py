"""Patches by which a part of a model is trained: frozen weights, and LoRA beside dense weights."""
