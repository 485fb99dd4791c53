"""What can be said of runs and of their differences: NumPy and SciPy, no page and no torch."""
