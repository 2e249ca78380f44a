"""Objectives: how documents become training examples."""
