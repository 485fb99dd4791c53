"""Measurements: benchmarks, the study, the simulation. Not the product."""
