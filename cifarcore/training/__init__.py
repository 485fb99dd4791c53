"""From images to run files. The one wing, beside the retraining's two learners, that imports torch."""
