"""`primer report`: what evaluated runs say of their settings, with intervals over seeds."""
