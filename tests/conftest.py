"""What all tests share. Their helpers are imported by name: `from made import made_run`."""

import os

# One thread each: the tests run side by side with others, and a single thread repeats its sums to the last bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
