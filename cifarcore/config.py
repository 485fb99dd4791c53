"""One frozen dataclass per step: each field with its default, help, choices and bounds.

The CLI's flags, the checkpoint and the run file's `meta` are all made from these fields.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from cifarcore.errors import CifarcoreError
from cifarcore.files import is_plain
from cifarcore.options import check, option
from cifarcore.text import brief

MODELS = ("cnn", "resnet18")
LAYERS = ("all", "last_two_blocks", "last_block", "head")
MIXES = ("none", "cutmix", "mixup", "both")
POLICIES = ("none", "randaugment", "trivialaugment")
MOST_SEED = 2**32 - 1  #: scikit-learn's and NumPy's
SHARDS, SEEDS = "shards", "seeds"  #: what several files of predictions are


def _seed(default: int, help: str, low: int = 0) -> Any:
    return option(default, help, low=low, high=MOST_SEED)


def _from_dict(cls: type, values: dict) -> Any:
    if unknown := set(values) - {item.name for item in fields(cls)}:
        raise CifarcoreError(
            f"config has unknown fields {brief(sorted(map(str, unknown)))}; it was written by another version"
        )
    return cls(**values)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; defaults are the `report` protocol."""

    model: str = option("cnn", "network architecture", choices=MODELS)
    preset: str = option("report", "name under which the run is saved")
    seed: int = _seed(0, "random seed of initial weights, data order and augmentation")
    dataset: str = option("cifar100", "data set", choices=("cifar100", "synthetic"))
    validation_size: int = option(0, "training images held out for validation", low=0)

    epochs: int = option(120, "training epochs", low=1)
    batch_size: int = option(0, "images per batch; 0: 128 on a GPU, 64 on a CPU", low=0)
    learning_rate: float = option(0.1, "peak learning rate", above=0)
    momentum: float = option(0.9, "SGD momentum", low=0, high=1)
    nesterov: bool = option(False, "Nesterov momentum")
    weight_decay: float = option(5e-4, "weight decay, on every weight", low=0)
    muon: float = option(0.0, "peak learning rate of Muon, for all but head, biases and norms; 0: none", low=0)
    muon_decay: float = option(0.1, "weight decay of what Muon trains", low=0)
    schedule: str = option(
        "step", "learning-rate schedule; step is PyTorch's StepLR", choices=("step", "onecycle", "cosine")
    )
    step_size: int = option(20, "epochs between drops of the step schedule", low=1)
    gamma: float = option(0.1, "factor by which the step schedule drops the learning rate", low=0)
    warmup: float = option(0.2, "fraction of the steps spent warming up (onecycle and cosine)", low=0, high=1)
    label_smoothing: float = option(0.0, "label smoothing", low=0, high=1)
    ema_decay: float = option(
        0.0, "decay per step of the exponential moving average of the weights; 0: no averaging", low=0, high=1
    )

    image_size: int = option(32, "side in pixels to which images are upsampled on the device", low=1, high=1024)
    first_size: int = option(0, "side in pixels during the first epochs (ResNet-18)", low=0, high=1024)
    first_epochs: int = option(0, "number of epochs trained at first_size; 0: none", low=0)
    normalize: str = option(
        "cifar100", "data set whose channel mean and standard deviation are used", choices=("cifar100", "imagenet")
    )
    crop_padding: int = option(4, "pixels of zero padding before the random crop", low=0)
    flip: bool = option(True, "random horizontal flip")
    mix: str = option("none", "CutMix and MixUp; both: one of the two for each batch", choices=MIXES)
    policy: str = option("none", "augmentation policy", choices=POLICIES)
    erasing: float = option(0.0, "probability of random erasing", low=0, high=1)

    widths: tuple[int, ...] = option((64, 128, 256), "channels of the CNN's three blocks")
    hidden: int = option(512, "units of the CNN's first fully connected layer", low=1, high=4096)
    # without any of its inputs a layer learns nothing
    dropout: float = option(0.5, "dropout before the CNN's fully connected layers", low=0, high=0.99)
    init: str = option("imagenet", "initial weights of the ResNet-18", choices=("imagenet", "random"))
    weights: str = option("", "file of ResNet-18 weights in torchvision's layout")
    stem: str = option(
        "imagenet",
        "first layers of the ResNet-18; imagenet: 7x7 convolution with stride 2, then max pooling; "
        "3x3: convolution with stride 1, no pooling",
        choices=("imagenet", "3x3"),
    )
    train_layers: str = option(
        "all", "layers to train, the others stay frozen (the CNN's fc1 counts as its last block)", choices=LAYERS
    )
    layer_decay: float = option(
        1.0, "layer-wise decay: factor on the learning rate for each stage further from the head", above=0
    )
    teacher: str = option("", "checkpoint of the teacher for knowledge distillation")
    teacher_weight: float = option(0.9, "weight of the distillation loss", low=0, high=1)
    teacher_once: bool = option(
        False, "compute the teacher's logits once per image and mirror image, instead of for each batch"
    )
    temperature: float = option(4.0, "distillation temperature", above=0)

    loader: str = option(
        "memory",
        "data loading; memory: whole set on the device; dataloader: PyTorch's, with PIL image by image",
        choices=("memory", "dataloader"),
    )
    num_workers: int = option(-1, "worker processes of the dataloader; -1: 4 on a GPU, 0 on a CPU or Windows", low=-1)
    precision: str = option(
        "auto",
        "auto: bfloat16 where the hardware supports it, float16 with gradient scaling on other CUDA GPUs",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    device: str = option(
        "auto",
        "auto: a CUDA GPU where there is one; mps: an Apple GPU, not tested on one yet",
        choices=("auto", "cpu", "cuda", "mps"),
    )
    threads: int = option(0, "CPU threads; 0: PyTorch's default", low=0)

    def __post_init__(self) -> None:
        check(self)
        if self.model == "cnn" and self.image_size < 8:
            raise CifarcoreError(
                f"image_size is {self.image_size}; give the cnn, which halves it three times, at least 8"
            )
        if self.first_epochs and (self.model != "resnet18" or self.first_size < 1):
            raise CifarcoreError(
                f"first_epochs is {self.first_epochs}; that needs a first_size, and a resnet18: the cnn has one "
                "input size"
            )
        if self.teacher_once and not self.teacher:
            raise CifarcoreError(
                "teacher_once is set without a teacher; name its checkpoint with --teacher, or leave it out"
            )
        if self.teacher_once and (self.mix, self.policy, self.erasing, self.loader) != ("none", "none", 0, "memory"):
            raise CifarcoreError(
                "teacher_once is for crops and mirrors from memory; leave out mix, policy, erasing and the "
                "dataloader, or teacher_once"
            )
        if len(self.widths) != 3 or not all(isinstance(width, int) and width > 0 for width in self.widths):
            raise CifarcoreError(
                f"widths is {brief(self.widths)}; the CNN has three blocks: give three numbers of at least 1"
            )
        if not is_plain(self.preset):
            raise CifarcoreError(
                f"preset is {brief(self.preset)}; it names files, so use letters, digits, - and _, the first a letter "
                "or digit"
            )

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
        return _from_dict(cls, {**values, "widths": tuple(values.get("widths", cls.widths))})


@dataclass(frozen=True)
class RetrainConfig:
    """A short retraining of a finished run; what it does not name is as the run was trained."""

    focus: str = option(
        "hardest:10", "classes that get a larger share: all, hardest:K (lowest validation F1) or classes:NAME,NAME"
    )
    seconds: float = option(60.0, "seconds of training and of the evaluation after it", low=0, high=86_400)
    epochs: float = option(0.0, "training epochs, instead of seconds; 0: as many as seconds allow", low=0, high=10_000)
    train_layers: str = option(
        "last_block",
        "layers to train; last_block: on what the layers before it give, computed once, with CutMix; head: on cached "
        "features, without augmentation",
        choices=LAYERS,
    )
    learning_rate: float = option(0.0, "peak learning rate; 0: the default for the trained layers", low=0, high=10)
    focus_share: float = option(0.3, "share of each batch drawn from the focus classes", above=0, below=1)
    leave_out_duplicates: bool = option(False, "leave out exact and near duplicates of test images, only these")
    crop_padding: int = option(4, "pixels of zero padding before the random crop", low=0, high=16)
    flip: bool = option(True, "random horizontal flip")
    mix: str = option("none", "CutMix and MixUp; both: one of the two for each batch", choices=MIXES)
    policy: str = option("none", "augmentation policy", choices=POLICIES)
    batch_size: int = option(64, "images per batch (the head always trains on 512)", low=2, high=4096)
    seed: int = _seed(-1, "random seed of data order and augmentation; -1: the parent's", low=-1)
    threads: int = option(0, "CPU threads; 0: all cores but one for training, all for evaluation", low=0, high=1024)

    def __post_init__(self) -> None:
        check(self)
        if self.focus == "classes:":
            raise CifarcoreError("no class is named; choose at least one class")
        if not (self.focus == "all" or self.hardest or self.classes):
            raise CifarcoreError(f"focus is {brief(self.focus)}; give all, hardest:K or classes:NAME,NAME")
        if not self.epochs and self.seconds < 1:
            raise CifarcoreError(
                f"seconds is {self.seconds} and epochs {self.epochs}; give 1 to 86400 seconds or up to 10000 epochs"
            )

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
        return _from_dict(cls, values)


@dataclass(frozen=True)
class ProjectConfig:
    """The two maps of the features and the nearest training images."""

    perplexity: float = option(30.0, "t-SNE perplexity", low=1, high=10_000)
    umap_neighbors: int = option(15, "UMAP n_neighbors", low=2, high=10_000)
    umap_min_dist: float = option(0.1, "UMAP min_dist", low=0, high=1)  # of UMAP's default spread of 1
    neighbors: int = option(5, "nearest training images saved for each test image", low=1, high=1000)
    seed: int = _seed(0, "random seed of both maps")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ImportConfig:
    """What someone else's predictions are of, and how their run is named."""

    model: str = option("", "name of the model; default: the file's name")
    preset: str = option("", "what distinguishes it from other runs of the same model, such as how it was trained")
    seed: int = _seed(0, "random seed of its training")
    files: str = option(
        SHARDS,
        "what several files are: parts of one run, as the processes of a distributed run write them (shards), or the "
        "seeds of one model, numbered by the last number in their names, else in their order from --seed (seeds)",
        choices=(SHARDS, SEEDS),
    )
    order: str = option(
        "",
        "order of the rows: CIFAR-100's test set as torchvision, Keras and Hugging Face have it (torchvision), or "
        "x_test of cifar100.npz (data); with --images, files as text (imagefolder), as torchvision and Keras sort, "
        "by their numbers (natural), as timm does, or whole paths as text (paths), as Hugging Face's datasets do; or "
        "the row's own number in --test-set, without pictures (rows)",
        choices=("", "torchvision", "data", "imagefolder", "natural", "paths", "rows"),
    )
    test_set: str = option(
        "", "with --order rows, the name of the test set: runs of one name are compared row by row, by equal labels"
    )
    images: str = option(
        "",
        "folder of the test images (class/picture.png), matched by file name, else in the order of their names",
        path="FOLDER",
    )
    like: str = option(
        "",
        "run file with the same test images: in its order, or by file name where it was imported with --images",
        path="RUN",
    )
    labels: str = option(
        "",
        "file of the true labels, if the predictions have none: .npy, .npz, one per line, or file,label per line",
        path="FILE",
    )
    class_names: str = option(
        "",
        "file of class names, one per line, in the order of the columns; or several names of each class, with a tab "
        "between; or CSV or JSON",
        path="FILE",
    )
    classes: str = option(
        "same",
        "which classes the columns are: the test set's (same), or keep those of both, and their images (shared)",
        choices=("same", "shared"),
    )
    first_class: int = option(0, "number of the first class, in labels and columns that are numbers", low=0, high=1)
    superclasses: str = option("", "CSV file with a line class,superclass for each class", path="FILE")
    metadata: str = option(
        "",
        "CSV file of what is known of each image, by a column file or sample_id; the page of slices searches it",
        path="FILE",
    )
    scores: str = option(
        "auto", "what the scores are", choices=("auto", "logits", "probabilities", "log_probabilities")
    )

    def __post_init__(self) -> None:
        check(self)
