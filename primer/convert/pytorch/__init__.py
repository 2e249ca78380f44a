"""A trained model as one PyTorch file that is written for exactly this model, and its weights."""
