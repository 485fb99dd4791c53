"""`cifarcore explain`: which parts of a picture a network's prediction depends on."""

from pathlib import Path
from typing import Annotated

import typer

from cifarcore.cli.terminal import console
from cifarcore.errors import CifarcoreError


def explain(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint (.pt) written by train.")],
    picture: Annotated[Path, typer.Argument(help="A picture of the size that the network was trained on.")],
    out: Annotated[Path, typer.Option(help="The .npz to write: drop (H, W), predicted, probability.")],
) -> None:
    """Hide each part of a picture in turn and measure how much less probable the predicted class becomes."""
    import numpy as np

    from cifarcore.data.picture_files import read_picture
    from cifarcore.runs.archive import SUFFIX, is_run_file, names_in
    from cifarcore.text import spaced
    from cifarcore.training.checkpoints import load_checkpoint
    from cifarcore.training.occlusion import ARRAYS, MOST_SIDE, occlusion, save_occlusion

    if out.suffix.lower() != SUFFIX or (out.exists() and names_in(out) != ARRAYS):
        what = (
            "a run file" if is_run_file(out) else "no .npz" if out.suffix.lower() != SUFFIX else "another kind of .npz"
        )
        raise CifarcoreError(f"--out {out}: is {what}; name another file")
    weights = load_checkpoint(checkpoint)
    image = np.asarray(read_picture(picture).shown)
    if max(image.shape[:2]) > MOST_SIDE:  # hundreds of copies of it are made
        height, width = image.shape[:2]
        raise CifarcoreError(
            f"{picture}: {width:,} x {height:,} pixels; give the picture as the network takes it, of at most "
            f"{MOST_SIDE} pixels a side"
        )
    effect = occlusion(weights, image)
    save_occlusion(effect, out)
    name = spaced(weights.class_names[effect.predicted])
    console.print(
        f"wrote {out}: {name} at {effect.probability:.1%}, at most {effect.drop.max():+.1%} by a hidden patch"
    )
