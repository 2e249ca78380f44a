"""How a run starts from the weights of another one."""
