"""Devices of a mesh: peak, memory and interconnect of chips, and the time of a step on them."""
