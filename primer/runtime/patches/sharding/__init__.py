"""Patches by which a layout splits weights over both axes of a mesh."""
