"""Windows of the model's length: where each token of a text stands, and the loss of each."""
