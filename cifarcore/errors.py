"""The error that every part raises for bad input; a leaf that imports nothing."""


class CifarcoreError(Exception):
    """Bad input: the message is one line that says what is wrong and what to do."""

    status = 2  # exit status of the command that it ends

    def __str__(self) -> str:
        """The message, with what is no text in it as escapes."""
        return readable(super().__str__())


def readable(text: str) -> str:
    """`text` with what is none as escapes: bytes of a file's name that are no UTF-8, and halves of surrogate pairs."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
