"""The Synthesizer: attention with learned logits, and the parts of its variants."""
