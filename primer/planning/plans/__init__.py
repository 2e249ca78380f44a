"""Plans of `primer plan`: what a run needs on a mesh, whether it fits, and what would fit."""
