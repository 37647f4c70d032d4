"""The settings of a training run, with their defaults."""

from dataclasses import asdict, dataclass, field

from boxloss.detector import catalogue
from boxloss.tensors import checks


@dataclass
class Options:
    """The settings of a run; `config.json` holds them.

    loss, loss_args: a box loss of the registry and its arguments. bins: 0, or the bins of DFL.
    focus: share of hardest images of each batch that count, or None for all. patience: evaluations
    without a better AP before the run stops, 0 for never. evaluate_every: epochs between
    evaluations, 0 for about 15 in the run. checkpoint_steps: steps between checkpoints within an
    epoch, 0 for one per epoch. plain_share: the last share of the epochs, in which no mosaics are
    made: the detector ends on pictures like those it will see (YOLOX, Ge et al. 2021,
    arXiv:2107.08430, section 2.1). flip: share of the training pictures that are mirrored.

    size, backbone: see `Detector`. pretrained: "imagenet", "none", or the path of a detector or of
    weights of the backbone, see `detector.start_from_pretrained`; if not given, "imagenet" where
    the backbone is another library's, else "none". weights: an older name of `pretrained`.

    For a pretrained backbone of another library only: backbone_rate: its learning rate, as a share
    of that of the other layers. frozen_epochs: the first epochs, in which it does not change.
    frozen_stride: its layers up to this stride never change, which saves the time of their
    gradients; 0 for none. frozen_statistics: whether its batch normalisation keeps the statistics
    of the pretrained weights, in place of those of each batch.
    """

    # `boxloss train` does not stop at these defaults: `training.recipe` chooses by the data set.
    # Whoever changes one measures it anew (docs/detector.md): they were chosen together.
    loss: str = "ciou"
    loss_args: dict = field(default_factory=dict)
    size: str | None = None
    backbone: str | None = None
    pretrained: str | None = None
    backbone_rate: float = 1.0
    frozen_epochs: int = 0
    frozen_stride: int = 0
    frozen_statistics: bool = False
    image_size: int = 320
    epochs: int = 60
    batch_size: int = 8
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    bins: int = 0
    augment: bool = True
    plain_share: float = 0.15
    flip: float = 0.5
    focus: float | None = None
    patience: int = 0
    evaluate_every: int = 0
    checkpoint_steps: int = 0
    weights: str | None = None
    mixed_precision: bool = False
    deterministic: bool = False
    devices: int = 1
    cache: str = "ram"
    cache_megabytes: int = 512
    workers: int = 0
    profile: bool = False
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self):
        self._choose_network()
        checks.one_of("optimizer", self.optimizer, ("adam", "adamw"))
        checks.one_of("cache", self.cache, ("ram", "disk", "none"))
        checks.non_negative("cache_megabytes", self.cache_megabytes)
        for name in ("epochs", "batch_size", "image_size", "devices"):
            checks.count(name, getattr(self, name))
        # Each device gets the same number of images, or their means would weigh images unequally.
        if self.batch_size % self.devices:
            raise ValueError(
                "`batch_size` must be a multiple of `devices`. Received: "
                f"batch_size={self.batch_size!r}, devices={self.devices!r}"
            )
        checks.positive("learning_rate", self.learning_rate)
        checks.non_negative("weight_decay", self.weight_decay)
        checks.positive("backbone_rate", self.backbone_rate)
        rule = "0, 2, 4, 8, 16 or 32"
        checks.number("frozen_stride", self.frozen_stride, rule, {0, 2, 4, 8, 16, 32}.__contains__)
        for name in (
            "patience",
            "evaluate_every",
            "checkpoint_steps",
            "bins",
            "frozen_epochs",
            "workers",
        ):
            checks.non_negative(name, getattr(self, name))
        rule = "a whole number from 0 to 2**32 - 1"
        checks.number("seed", self.seed, rule, lambda x: 0 <= x < 2**32 and x == int(x))
        for name in ("plain_share", "flip"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1. Received: {name}={value!r}")
        if self.focus is not None:
            checks.fraction("focus", self.focus)

    def _choose_network(self):
        """Size, backbone and first weights, where they were not given."""
        if self.pretrained is None:
            self.pretrained = self.weights
        self.size, self.backbone = catalogue.size_and_backbone(self.size, self.backbone)
        if self.pretrained is None:
            # Another library's backbone is chosen for its weights: from random ones it needs far
            # more images than most data sets have.
            self.pretrained = "imagenet" if self.backbone in catalogue.WEIGHTS else "none"

    def as_dict(self):
        return asdict(self)

    @property
    def mosaic_epochs(self):
        """The epochs before the plain ones."""
        return self.epochs - round(self.plain_share * self.epochs)

    @property
    def evaluation_interval(self):
        return self.evaluate_every or max(1, round(self.epochs / 15))


def learning_rate(step, steps, options):
    """Warm-up from 0 over the share `warmup` of all steps, then a cosine down to 2 %."""
    from math import cos, pi

    # Adam's second moment is a mean over few gradients at first, and its first steps are as long as
    # the rate allows, into whatever direction the first batch pulls. So the rate begins small.
    warm = max(1, round(options.warmup * steps))
    if step < warm:
        return options.learning_rate * (step + 1) / warm
    # 2 % are left at the end: at a rate of 0 the last steps would change nothing.
    share = (step - warm) / max(1, steps - warm)
    return options.learning_rate * (0.02 + 0.98 * (1 + cos(pi * share)) / 2)
