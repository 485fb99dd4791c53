"""The README's picture: `python -m cifarcore.experiments.app_picture` takes it of the app on the bundled runs.

It goes to `.github/app.png`, or to the path given. Needs what the benchmarks in a browser need.
"""

import io
import sys
from pathlib import Path

from PIL import Image

from cifarcore.errors import CifarcoreError
from cifarcore.experiments.bench_browser import CALM, CHART, TIMEOUT_MS, chromium, server
from cifarcore.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / ".github" / "app.png"
WIDTH, HEIGHT = 1280, 748  # pixels: the first screen of the overview


def take(root: Path, path: Path) -> None:
    """Write the picture of the app in the folder `root`, its overview in light colours, to the PNG `path`.

    Raises CifarcoreError without a browser.
    """
    runs = {"CIFARCORE_RUNS": str(root / "checkpoints")}
    with chromium() as browser, server(root / "streamlit_app.py", runs) as (url, _):
        options = {"viewport": {"width": WIDTH, "height": HEIGHT}, "color_scheme": "light", "reduced_motion": "reduce"}
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(url)
        page.wait_for_selector(CHART)
        page.wait_for_function(CALM, polling=100)
        picture = Image.open(io.BytesIO(page.screenshot()))
    with atomic_write(path) as file:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)


if __name__ == "__main__":
    try:
        take(ROOT, Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
    except CifarcoreError as error:
        sys.exit(f"cifarcore: {error}")
