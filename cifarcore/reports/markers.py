"""Text between two markers of a file, which is written anew while the rest stays as it is."""

import re
from pathlib import Path

from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, read_whole

_MOST_BYTES = 1 << 26


def put_between_markers(path: str | Path, name: str, text: str) -> bool:
    """Put `text` between `<!-- name: ... -->` and `<!-- /name -->` in the file at `path`, atomically.

    False, and nothing is written, where the file has no such pair or several. Raises CifarcoreError for no such file.
    Its lines keep their ends.
    """
    path = Path(path)
    try:
        content = read_whole(path, _MOST_BYTES).decode()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise CifarcoreError(f"{path} cannot be read ({reason}); name the README that holds the {name} table") from None
    before = content.replace("\r\n", "\n")
    markers = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(markers.findall(before)) != 1:
        return False
    with atomic_write(path) as file:
        after = markers.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", before)
        file.write((after.replace("\n", "\r\n") if "\r\n" in content else after).encode())
    return True
