"""The choice to learn from no training image that is a duplicate of a test image, and what a run says of it."""

import numpy as np
import streamlit as st

from cifarcore.data.known_images import known_images
from cifarcore.retraining import setup
from cifarcore.runs.run import Run
from cifarcore.text import counted


def choice(run: Run) -> dict[str, bool]:
    """Draw the choice for the parent `run`, of CIFAR-100 alone, of whose images duplicates are known."""
    if not setup.of_cifar100(run.meta):
        return {}
    chosen = st.checkbox(
        "Leave out duplicates of test images",
        key="retrain-duplicates",
        persist_state="session",
        help="Learns from no training image that is an exact or near duplicate of a test image. Disputed labels are "
        "known of test images only, so none can be left out here; the section “Duplicates and disputed labels” of the "
        "overview has the difference without both.",
    )
    if chosen:
        held_out = run.val_sample_ids if run.val_sample_ids is not None else np.empty(0, np.uint64)
        n = len(np.setdiff1d(known_images().twins, held_out))
        st.caption(f"{counted(n, 'training image')} will be left out. The parent may have learned from them.")
    return {"leave_out_duplicates": chosen}


def told(settings: dict, record: dict) -> None:
    """Say how many training images the retraining of `record` with `settings` left out, where it was to."""
    left_out = record.get("left_out")
    if settings.get("leave_out_duplicates") is True and type(left_out) is int and left_out >= 0:
        st.caption(
            f":material/content_copy: Left out of what it learned: {counted(left_out, 'training image')}, exact or "
            "near duplicates of test images."
        )
