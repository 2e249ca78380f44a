"""What a report says of families of groups: sizes, compute, learning rates, training, routers."""
