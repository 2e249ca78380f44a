"""Workers of a sweep: where its processes run, on this machine or on a Ray cluster."""
