"""`python -m cifarcore`, which is also what torchrun starts: `torchrun ... -m cifarcore train ...`."""

from cifarcore.cli import main

if __name__ == "__main__":
    main()
