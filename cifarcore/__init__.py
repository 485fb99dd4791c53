"""Train image classifiers on CIFAR-100 and compare two of them, image by image."""

__version__ = "0.1.0"


class CifarcoreError(Exception):
    """Bad input: the message is one line that says what is wrong and what to do."""

    status = 2  # of the command that it ends
