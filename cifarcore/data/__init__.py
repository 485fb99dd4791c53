"""Images and their ids: CIFAR-100, the drawn data set, and a folder of one's own. NumPy and Pillow alone."""

from cifarcore.data.ids import sample_ids as sample_ids
