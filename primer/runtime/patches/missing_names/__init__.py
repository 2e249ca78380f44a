"""Names that t5 and Mesh-TensorFlow import and that newer TensorFlow, or a missing torch, lacks."""
