"""Text generation, token by token: the graph of a decoding step, sampling, output."""
