"""The colours of all charts, in a module of their own: the first page needs them, but not Altair."""

#: model A is blue, model B orange, everywhere: far apart for every common colour blindness, readable on light and dark
COLORS = {"A": "#2f7fc1", "B": "#e07b1a"}

#: behind the white letters of the models' keys, which need more contrast than marks
KEY_COLORS = {"A": "#2a6fab", "B": "#a0520c"}
#: of the keys themselves on a dark ground
DARK_KEY_COLORS = {"A": "#6fb0e8", "B": "#f09a45"}
NEUTRAL = "#8a8f98"

#: correctness of both models on a test image
SPLIT_COLORS = {"both correct": "#8f96a0", "only A": COLORS["A"], "only B": COLORS["B"], "neither": "#d6336c"}
