"""From token ids to the input of the stack, and from its output to logits."""
