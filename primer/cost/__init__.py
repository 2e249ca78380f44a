"""What a model costs: its parameters and FLOPs per token, counted on its Mesh-TensorFlow graph."""
