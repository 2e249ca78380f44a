"""Matrices for Muon: weights as matrices, and their orthogonalization on a mesh."""
