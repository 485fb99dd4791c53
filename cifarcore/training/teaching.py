"""Which checkpoint may teach a training (knowledge distillation)."""

from collections.abc import Sequence

from cifarcore.config import TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.training.checkpoints import Checkpoint, load_checkpoint, trained_on


def teacher_of(config: TrainConfig, class_names: Sequence[str], data_fingerprint: str) -> Checkpoint | None:
    """The checkpoint that `config` names as its teacher; None where it names none.

    Raises CifarcoreError where it is of other classes, or says that it learned from images held out here: of training
    images of the same fingerprint, or of none that is known, it held out another number.
    """
    if not config.teacher:
        return None
    teacher = load_checkpoint(config.teacher)
    if teacher.class_names != list(class_names):
        how = "the same classes in another order" if set(teacher.class_names) == set(class_names) else "other classes"
        raise CifarcoreError(f"{config.teacher}: a teacher of {how}; give one trained on this data set as --teacher")
    theirs, ours = teacher.config.validation_size, config.validation_size
    if trained_on(teacher) in ("", data_fingerprint) and ours and theirs != ours:
        raise CifarcoreError(
            f"{config.teacher}: held out {theirs} images where this training holds out {ours}, so it may have learned "
            f"those; give --validation-size {theirs}, or another --teacher"
        )
    return teacher
