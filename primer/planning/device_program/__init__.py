"""The program of one device of a mesh: built and lowered without the mesh, then counted.

`planner.device_program` is the entry: from the settings in gin's configuration and a mesh to a
`program.DeviceProgram`, which has the memory, the FLOPs and the collectives of one device.
"""
