"""What a model directory records of its model, beyond the shapes of its variables."""
