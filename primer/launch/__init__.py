"""Command lines of the engine, `t5_mesh_transformer`: built from options, printed and run."""
