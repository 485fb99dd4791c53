"""`python -m cifarcore`, which is also what torchrun starts: `torchrun ... -m cifarcore train ...`."""

import os

from cifarcore.cli.main import program

if __name__ == "__main__":
    try:
        program()
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            raise
        from cifarcore.training.distributed import leave

        leave(end.code if isinstance(end.code, int) else int(end.code is not None))
