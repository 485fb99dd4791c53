"""Has the browser load the code of charts and tables before a page needs it (ahead.js)."""

import json
from pathlib import Path

import streamlit

_STATIC = Path(streamlit.__file__).parent / "static/static/js"
#: of Streamlit's bundles: its charts, Vega, its tables; in this order
_CHUNKS = ("ArrowVegaLiteChart", "embed", "DataFrame")


def script(folder: Path = _STATIC) -> str:
    """JavaScript for the beginning of a component's module. A bundle that is not in `folder`, as another version of
    Streamlit may have it, is left out.
    """
    names = [path.name for chunk in _CHUNKS for path in sorted(folder.glob(f"{chunk}.*.js"))]
    code = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return f"const AHEAD = {json.dumps(names)};\n{code}"
