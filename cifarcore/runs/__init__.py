"""The run file, and the ways into it from other people's outputs. NumPy and pandas alone."""
