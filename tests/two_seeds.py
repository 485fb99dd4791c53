"""Two seeds of each of two models, and their numbers by scikit-learn and plain NumPy; for tests of tables."""

import numpy as np
from made import made_run
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

C = 10
RUNS = {
    letter: tuple(made_run(C, 500, accuracy, seed, model) for seed in (0, 1))
    for letter, model, accuracy in (("A", "cnn", 0.5), ("B", "resnet18", 0.7))
}
LABELS = RUNS["A"][0].labels


def answers(letter):
    return [run.logits.argmax(axis=1) for run in RUNS[letter]]


def mean_matrix(letter):
    return np.mean([confusion_matrix(LABELS, answer, labels=range(C)) for answer in answers(letter)], axis=0)


def softmax(run):
    powers = np.exp(run.logits.astype(np.float64) - run.logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


SKLEARN = {
    "f1": lambda run: f1_score(LABELS, run.logits.argmax(1), average=None, labels=range(C)),
    "precision": lambda run: precision_score(LABELS, run.logits.argmax(1), average=None, labels=range(C)),
    "recall": lambda run: recall_score(LABELS, run.logits.argmax(1), average=None, labels=range(C)),
    "auc": lambda run: np.array([roc_auc_score(LABELS == c, softmax(run)[:, c]) for c in range(C)]),
}
