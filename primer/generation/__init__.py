"""Text from a trained model, a token at a time: the graph of a step, sampling, output."""
