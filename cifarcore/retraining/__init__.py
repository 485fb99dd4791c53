"""Background jobs that train a model on for a minute. Only learner and worker import torch."""
