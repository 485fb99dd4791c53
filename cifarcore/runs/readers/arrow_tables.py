"""The table of a Parquet or Arrow file as a plain Arrow file: `python -m cifarcore.runs.readers.arrow_tables FILE OUT`.

A process of its own, see `apart`: damaged files end the libraries that read them.
"""

import sys
from pathlib import Path

import pyarrow
from pyarrow import ipc

from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers.arrow_files import arrow_table
from cifarcore.runs.readers.columnar import parquet_table


def table_in(path: Path) -> pyarrow.Table:
    """Raises CifarcoreError with one line that says what is wrong."""
    parquet = path.suffix.lower() == ".parquet"
    try:
        table = parquet_table(path) if parquet else arrow_table(path)
        table.validate(full=True)
        return table
    except (pyarrow.ArrowException, IndexError, OSError, ValueError, KeyError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise CifarcoreError(f"not a readable {'Parquet' if parquet else 'Arrow'} file ({reason:.200})") from None


def convert(path: Path, out: Path) -> None:
    table = table_in(path)
    with ipc.new_file(str(out), table.schema) as file:
        file.write_table(table.unify_dictionaries())  # a file has one for each column


if __name__ == "__main__":
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except CifarcoreError as refusal:
        sys.exit(str(refusal))
