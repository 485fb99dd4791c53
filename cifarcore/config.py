"""One frozen dataclass per step, and the presets of training.

The CLI's flags, the checkpoint and the run file's `meta` are all made from these fields.
"""

from dataclasses import asdict, dataclass, field, fields, replace

from cifarcore import CifarcoreError

MODELS = ("cnn", "resnet18")
SCORES = ("auto", "logits", "probabilities", "log_probabilities")
_CHOICES = {
    "model": MODELS,
    "dataset": ("cifar100", "synthetic"),
    "schedule": ("step", "onecycle", "cosine"),
    "stem": ("imagenet", "3x3"),
    "init": ("imagenet", "random"),
    "train_layers": ("all", "last_two_blocks", "last_block", "head"),
    "normalize": ("cifar100", "imagenet"),
    "mix": ("none", "cutmix", "mixup", "both"),
    "policy": ("none", "randaugment", "trivialaugment"),
    "loader": ("memory", "dataloader"),
    "precision": ("auto", "float32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
}


_MOST = 1_000_000_000
_BOUNDS = {
    **dict.fromkeys(("epochs", "image_size", "step_size", "hidden"), (1, _MOST)),
    **dict.fromkeys(("seed", "validation_size", "batch_size", "weight_decay", "gamma"), (0, _MOST)),
    **dict.fromkeys(("first_size", "first_epochs", "crop_padding", "threads"), (0, _MOST)),
    **dict.fromkeys(("momentum", "ema_decay", "label_smoothing", "teacher_weight", "erasing", "warmup"), (0, 1)),
    "dropout": (0, 0.99),  # without any of its inputs a layer learns nothing
    "num_workers": (-1, _MOST),
}


def _option(default, help: str):
    return field(default=default, metadata={"help": help})


def _check_choices(config) -> None:
    for name in _CHOICES.keys() & {item.name for item in fields(config)}:
        if getattr(config, name) not in _CHOICES[name]:
            raise CifarcoreError(f"{name} is {getattr(config, name)!r}; choose one of {', '.join(_CHOICES[name])}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; defaults are the `report` protocol."""

    model: str = _option("cnn", "cnn or resnet18")
    preset: str = _option("report", "name under which the run is kept")
    seed: int = _option(0, "of initial weights, order and augmentation")
    dataset: str = _option("cifar100", "cifar100 or synthetic")
    validation_size: int = _option(0, "training images held out for everything that is chosen")

    epochs: int = _option(120, "passes over the training images")
    batch_size: int = _option(0, "images a step; 0: 128 on a GPU, 64 on a CPU")
    learning_rate: float = _option(0.1, "peak learning rate")
    momentum: float = _option(0.9, "of SGD")
    nesterov: bool = _option(False, "Nesterov's momentum")
    weight_decay: float = _option(5e-4, "on every weight")
    schedule: str = _option("step", "step (StepLR), onecycle or cosine")
    step_size: int = _option(20, "epochs between drops of the step schedule")
    gamma: float = _option(0.1, "factor of each drop")
    warmup: float = _option(0.2, "share of the steps in which onecycle and cosine rise to the peak")
    label_smoothing: float = _option(0.0, "share of the target spread over all classes")
    ema_decay: float = _option(0.0, "decay per step of the averaged weights; 0 keeps the last ones")

    image_size: int = _option(32, "side to which images are upsampled on the device")
    first_size: int = _option(0, "side to which they are upsampled in the first epochs (ResNet-18)")
    first_epochs: int = _option(0, "how many epochs first_size holds for; 0: none")
    normalize: str = _option("cifar100", "channel mean and standard deviation: cifar100 or imagenet")
    crop_padding: int = _option(4, "pixels of black border before the random crop")
    flip: bool = _option(True, "mirror half of the images")
    mix: str = _option("none", "none, cutmix, mixup or both (one of the two a batch)")
    policy: str = _option("none", "none, randaugment or trivialaugment")
    erasing: float = _option(0.0, "probability of erasing a random rectangle")

    widths: tuple[int, ...] = _option((64, 128, 256), "channels of the CNN's three blocks")
    hidden: int = _option(512, "width of the CNN's first fully connected layer")
    dropout: float = _option(0.5, "before the CNN's fully connected layers")
    init: str = _option("imagenet", "where the ResNet-18 starts: imagenet or random")
    weights: str = _option("", "file of ResNet-18 weights in torchvision's layout")
    stem: str = _option(
        "imagenet",
        "the ResNet-18's first layers: imagenet (7x7 of stride 2, then max pooling) or 3x3 (stride 1, no pooling)",
    )
    train_layers: str = _option(
        "all", "all, last_two_blocks, last_block or head (the CNN's fc1 counts as its last block)"
    )
    layer_decay: float = _option(1.0, "factor on the learning rate for each stage further from the head")
    teacher: str = _option("", "checkpoint whose outputs are distilled")
    teacher_weight: float = _option(0.9, "share of the teacher in the loss")
    teacher_once: bool = _option(False, "score image and mirror with the teacher before training, not each batch")
    temperature: float = _option(4.0, "of both softmaxes in the teacher's part of the loss")

    loader: str = _option("memory", "memory (whole set on the device) or dataloader (PIL, image by image)")
    num_workers: int = _option(-1, "processes of the dataloader; -1: 4 on a GPU, 0 on a CPU or Windows")
    precision: str = _option("auto", "auto (bfloat16 where the hardware has it), float32 or bfloat16")
    device: str = _option("auto", "auto, cpu or cuda")
    threads: int = _option(0, "CPU threads; 0 leaves torch's choice")

    def __post_init__(self):
        _check_choices(self)
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:  # so that NaN is refused too
                wanted = f"at least {low}" if high == _MOST else f"a number from {low} to {high}"
                raise CifarcoreError(f"{name} is {getattr(self, name)}; give {wanted}")
        for name in ("learning_rate", "layer_decay", "temperature"):
            if not 0 < getattr(self, name) <= _MOST:
                raise CifarcoreError(f"{name} is {getattr(self, name)}; give a number above 0")
        if self.model == "cnn" and self.image_size < 8:
            raise CifarcoreError(
                f"image_size is {self.image_size}; give the cnn, which halves it three times, at least 8"
            )
        if self.first_epochs and (self.model != "resnet18" or self.first_size < 1):
            raise CifarcoreError(
                f"first_epochs is {self.first_epochs}; that needs a first_size, and a resnet18: the cnn has one input size"
            )
        if self.teacher_once and not self.teacher:
            raise CifarcoreError(
                "teacher_once is set without a teacher; name its checkpoint with --teacher, or leave it out"
            )
        if self.teacher_once and (self.mix, self.policy, self.erasing, self.loader) != ("none", "none", 0, "memory"):
            raise CifarcoreError(
                "teacher_once is for crops and mirrors from memory; leave out mix, policy, erasing and the dataloader, or teacher_once"
            )
        if len(self.widths) != 3 or min(self.widths) < 1:
            raise CifarcoreError(f"widths is {self.widths}; the CNN has three blocks: give three numbers of at least 1")
        if not self.preset or not all(character.isalnum() or character in "-_" for character in self.preset):
            raise CifarcoreError(f"preset is {self.preset!r}; it names files, so use letters, digits, - and _")

    def input_size(self, epoch: int) -> int:
        """The side to which images are upsampled while `epoch` (from 0) is trained."""
        return self.first_size if epoch < self.first_epochs else self.image_size

    @property
    def name(self) -> str:
        """The stem of the checkpoint's and the run file's names."""
        return f"{self.model}-{self.preset}-{self.seed}"

    def to_dict(self) -> dict:
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, values: dict) -> "TrainConfig":
        """The inverse of `to_dict`; raises CifarcoreError for a field of another version."""
        unknown = set(values) - {item.name for item in fields(cls)}
        if unknown:
            raise CifarcoreError(
                f"config has unknown fields {', '.join(sorted(unknown))}; it was written by another version"
            )
        return cls(**{**values, "widths": tuple(values.get("widths", cls.widths))})


@dataclass(frozen=True)
class RetrainConfig:
    """A short retraining of a finished run; what it does not name is as the run was trained."""

    focus: str = _option("hardest:10", "all, hardest:K (by validation F1) or classes:NAME,NAME")
    seconds: float = _option(60.0, "of learning; evaluation comes after")
    epochs: float = _option(0.0, "passes over the training images instead of seconds")
    train_layers: str = _option("all", "all, last_two_blocks, last_block or head (on cached features, no augmentation)")
    learning_rate: float = _option(0.0, "peak learning rate; 0: this project's choice for the layers")
    focus_share: float = _option(0.5, "share of each batch that is of the focus classes")
    crop_padding: int = _option(4, "pixels of black border before the random crop")
    flip: bool = _option(True, "mirror half of the images")
    mix: str = _option("none", "none, cutmix, mixup or both (one of the two a batch)")
    policy: str = _option("none", "none, randaugment or trivialaugment")
    batch_size: int = _option(64, "images a step; the head learns on 512")
    seed: int = _option(-1, "of order and augmentation; -1: the parent's")
    threads: int = _option(0, "CPU threads; 0: all cores but one to learn, all to score")

    def __post_init__(self):
        _check_choices(self)
        if self.focus == "classes:":
            raise CifarcoreError("no class is named; choose at least one class")
        if not (self.focus == "all" or self.hardest or self.classes):
            raise CifarcoreError(f"focus is {self.focus!r}; give all, hardest:K or classes:NAME,NAME")
        if not 0 <= self.epochs <= 10_000 or not (self.epochs or 1 <= self.seconds <= 86_400):
            raise CifarcoreError(
                f"seconds is {self.seconds} and epochs {self.epochs}; give 1 to 86400 seconds or up to 10000 epochs"
            )
        if not 0 < self.focus_share < 1:
            raise CifarcoreError(
                f"focus_share is {self.focus_share}; give a share between 0 and 1, so that every batch has both kinds of classes"
            )
        if not 0 <= self.learning_rate <= 10:
            raise CifarcoreError(f"learning_rate is {self.learning_rate}; give at most 10, or 0 for the default")
        for name, low, high in (
            ("batch_size", 2, 4096),
            ("threads", 0, 1024),
            ("crop_padding", 0, 16),
            ("seed", -1, 2**31),
        ):
            if not low <= getattr(self, name) <= high:
                raise CifarcoreError(f"{name} is {getattr(self, name)}; give {low} to {high}")

    @property
    def hardest(self) -> int:
        """K of a focus on the hardest K classes, else 0."""
        kind, _, count = self.focus.partition(":")
        return int(count) if kind == "hardest" and count.isdecimal() and len(count) < 6 else 0

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of a focus on chosen classes, else none."""
        kind, _, names = self.focus.partition(":")
        return tuple(name for name in names.split(",") if name) if kind == "classes" else ()

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "RetrainConfig":
        """The inverse of `to_dict`. Raises CifarcoreError for a field of another version or a value of another type."""
        for item in fields(cls):
            value = values.get(item.name, item.default)
            number = isinstance(item.default, float) and isinstance(value, int) and not isinstance(value, bool)
            if type(value) is not type(item.default) and not number:
                raise CifarcoreError(f"{item.name} is {value!r}; give a value like {item.default!r}")
        if unknown := set(values) - {item.name for item in fields(cls)}:
            raise CifarcoreError(
                f"config has unknown fields {', '.join(sorted(unknown))}; it was written by another version"
            )
        return cls(**values)


@dataclass(frozen=True)
class Recipe:
    """What a retraining does besides its settings, found by trials on the validation split."""

    learning_rate: float
    adjustment: float  #: 0: a batch's share of the focus makes the model favour it; 1: that is taken out again


#: trained layers -> recipe
RECIPES: dict[str, Recipe] = {
    "all": Recipe(0.003, 0.85),
    "last_two_blocks": Recipe(0.003, 0.85),  # had no trials of its own: what all layers and the last block agree in
    "last_block": Recipe(0.003, 0.85),
    "head": Recipe(0.05, 0.85),
}


@dataclass(frozen=True)
class ProjectConfig:
    """The two maps of the features and the nearest training images."""

    perplexity: float = _option(30.0, "of t-SNE")
    umap_neighbors: int = _option(15, "neighbours of UMAP")
    umap_min_dist: float = _option(0.1, "least distance of points on the UMAP")
    neighbors: int = _option(5, "nearest training images kept")
    seed: int = _option(0, "of both maps")

    def __post_init__(self):
        for name, low, high in (
            ("perplexity", 1, 10_000),
            ("umap_neighbors", 2, 10_000),
            ("umap_min_dist", 0, 1),  # of UMAP's default spread of 1
            ("neighbors", 1, 1000),
            ("seed", 0, 2**32 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise CifarcoreError(f"{name} is {getattr(self, name)}; give {low} to {high}")


@dataclass(frozen=True)
class ImportConfig:
    """What someone else's predictions are of, and how their run is named."""

    model: str = _option("", "name of the model; else the file's name")
    preset: str = _option("", "what tells it from others of the same model, such as how it was trained")
    seed: int = _option(0, "which of several trainings it is")
    order: str = _option(
        "",
        "torchvision or data: rows are CIFAR-100's test images as torchvision, or as cifar100.npz's x_test, orders them",
    )
    images: str = _option("", "rows are the pictures of this folder (class/picture.png), by name or in sorted order")
    like: str = _option(
        "", "rows are the images of this run file, in its order, or by file where it is of a folder of pictures"
    )
    labels: str = _option("", "file of the true labels, where the predictions hold none: .npy, .npz, or one a line")
    class_names: str = _option("", "file with a class name a line, in the order of the columns")
    superclasses: str = _option("", "CSV file with a line class,superclass for each class")
    scores: str = _option("auto", "auto, logits, probabilities or log_probabilities")

    def __post_init__(self):
        if self.scores not in SCORES:
            raise CifarcoreError(f"scores is {self.scores!r}; choose one of {', '.join(SCORES)}")


_QUICK = dict(validation_size=5000, batch_size=64, schedule="onecycle", nesterov=True, label_smoothing=0.1)
_BEST = dict(
    validation_size=5000,
    batch_size=256,
    schedule="cosine",
    warmup=0.1,
    nesterov=True,
    label_smoothing=0.1,
    mix="both",
    policy="trivialaugment",
    ema_decay=0.999,
)

#: preset -> model -> what differs from TrainConfig's defaults
PRESETS: dict[str, dict[str, dict]] = {
    "report": {"cnn": {}, "resnet18": {}},
    "quick": {
        "cnn": _QUICK | dict(epochs=40, learning_rate=0.05, dropout=0.1),
        "resnet18": _QUICK
        | dict(
            epochs=9,
            learning_rate=0.02,
            layer_decay=0.5,
            first_epochs=3,
            first_size=64,
            image_size=128,
            normalize="imagenet",
        ),
    },
    "best": {
        "cnn": _BEST | dict(epochs=200, learning_rate=0.1, widths=(256, 512, 1024), hidden=512, dropout=0.3),
        "resnet18": _BEST | dict(epochs=40, learning_rate=0.02, image_size=160, normalize="imagenet"),
    },
}


def preset_config(model: str, preset: str, **changes) -> TrainConfig:
    """The named preset for `model` with `changes` on top. Raises CifarcoreError for an unknown name or value."""
    if preset not in PRESETS:
        raise CifarcoreError(f"preset is {preset!r}; choose one of {', '.join(PRESETS)}")
    if model not in MODELS:
        raise CifarcoreError(f"model is {model!r}; choose one of {', '.join(MODELS)}")
    settings = PRESETS[preset][model] | changes
    if settings.get("dataset") == "synthetic" and "validation_size" not in changes:
        settings["validation_size"] = settings.get("validation_size", 0) // 10  # it has a tenth of CIFAR-100's images
    return replace(TrainConfig(model=model, preset=preset), **settings)
