"""What a run is made of, read from TOML; without a file, the paper's experiment."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import field, fields
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ml.errors import MlError

# The batch format writes grey levels as this text, so that nothing rounds them.
GreyLevels = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,12})?$")]
Count = Annotated[int, Field(ge=1)]
Epsilons = Annotated[tuple[GreyLevels, ...], Field(min_length=1)]
Precision = Literal["fp32", "bf16"]
Norm = Literal["none", "l0", "l1", "l2", "linf"]
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """Which patches; without `tissue`, what `ml.data.load_patches` takes by itself.

    `size`: pixels along a side, to which patches of another size are resampled in 8 bits; without
    it they stay as they are.
    """

    tissue: str | None = None
    size: Annotated[int, Field(ge=16, le=4096)] | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkSettings:
    """`architecture`: a classifier of torchvision by name, or one of timm as "timm:NAME".

    `weights` to start from: "imagenet", "none" (random), or a file of the architecture's weights.
    """

    architecture: str = "resnet18"
    weights: str = "imagenet"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingSettings:
    """The paper's section 2.1; what it does not tell is our choice: batch size, augmentation.

    `method`: "free" is Shafahi et al. 2019 with `replays` passes over each batch, "pgd" is Madry et
    al. 2017 with `pgd_steps`, both within `adversarial_epsilon` grey levels (Linf).
    `early_stopping`: this many epochs without a better AUC on a fifth of the training groups, set
    aside for it; 0 is off, as in the paper.
    """

    method: Literal["standard", "free", "pgd"] = "standard"
    optimizer: Literal["adadelta", "adamw"] = "adadelta"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    schedule: Literal["constant", "one-cycle"] = "constant"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    epochs: Count = 25
    batch_size: Annotated[int, Field(ge=2)] = 16
    augmentation: bool = True
    precision: Precision = "fp32"
    early_stopping: Annotated[int, Field(ge=0)] = 0
    adversarial_epsilon: GreyLevels = "2"
    replays: Count = 4
    pgd_steps: Count = 7


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CrossvalSettings:
    """The paper's 5 runs of 3 folds; `scheme` "own" takes the data set's folds, once."""

    scheme: Literal["stratified", "own"] = "stratified"
    runs: Count = 5
    folds: Annotated[int, Field(ge=2)] = 3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AttackSettings:
    """`epsilon` in grey levels (`l1` MAD, `l2` RMSD, `linf`), or the share of pixels (`l0`).

    `norm` "none" has no budget and ignores `epsilon`. `step_size` is in the measure of the norm, in
    grey levels for `l0` (see `ml.attacks.pgd`); without it, it is a quarter of epsilon for `linf`,
    `l1` and `l2`, 64 for `l0`, and 0.25 for "none". `targeted` climbs towards the other class
    instead of away from the true one, which with two classes is the same.
    """

    norm: Norm = "linf"
    epsilon: GreyLevels = "2"
    steps: Count = 20
    step_size: GreyLevels | None = None
    confidence_target: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    random_start: bool = False
    restarts: Count = 1
    targeted: bool = False
    slots: Count = 8
    finish_steps: Annotated[int, Field(ge=0)] = 5
    search_precision: Precision = "fp32"
    shard_size: Count = 64

    @property
    def epsilon_grey_levels(self) -> Decimal:
        return Decimal(self.epsilon)

    @property
    def step_size_text(self) -> str:
        match self.norm:
            case _ if self.step_size is not None:
                return self.step_size
            case "none":
                return "0.25"
            case "l0":
                return "64"
            case "l1" | "l2" | "linf":
                return f"{round(self.epsilon_grey_levels / 4, 12).normalize():f}"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CurvesSettings:
    """The success curves of Fig. 4: the minimal perturbation of `limit` patches, in each norm.

    `check_limit` of them are also attacked by PGD of `check_steps` at every epsilon, to check it.
    Without a budget, PGD takes at most `walk_steps`.
    """

    l0: Epsilons = ("0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.2", "0.4")
    l1: Epsilons = ("0.01", "0.03", "0.1", "0.2", "0.3", "0.5", "1", "2", "4")
    l2: Epsilons = ("0.05", "0.1", "0.2", "0.3", "0.5", "1", "2", "4", "8")
    linf: Epsilons = ("0.1", "0.25", "0.5", "0.75", "1", "2", "3", "4", "8", "16")
    steps: Count = 30
    both_directions: bool = True
    limit: Count | None = None
    check_limit: Annotated[int, Field(ge=0)] = 16
    check_steps: Count = 20
    walk_steps: Count = 60


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaselinesSettings:
    """What a reviewer asks for beside PGD, at the budgets of `linf` and `l2`, in grey levels."""

    linf: Epsilons = ("1", "2", "4")
    l2: Epsilons = ("0.5", "1", "2")
    steps: Count = 40
    queries: Count = 500
    limit: Count | None = 64


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UniversalSettings:
    """One perturbation for all images (section 2.2), Linf, found on the training patches.

    `batch_size` 1 is the paper's update after each example. `truths` "both" uses all classes.
    """

    epsilons: Epsilons = ("1", "2", "4", "8", "16")
    epochs: Count = 5
    batch_size: Count = 16
    truths: Literal["positive", "both"] = "positive"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NaturalSettings:
    """Changes that nobody makes on purpose, on `limit` patches that are classified correctly.

    Beside them PGD as in `[attack]`, at the budgets of `linf` and `l2`, in grey levels.
    """

    linf: Epsilons = ("1", "2", "4")
    l2: Epsilons = ("0.5", "1", "2", "4")
    limit: Count | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DefenceSettings:
    """The trainings of section 4 to set beside the standard one, by `training.method`."""

    methods: tuple[Literal["free", "pgd"], ...] = ("free", "pgd")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExplainSettings:
    """`limit` attacked patches for saliency and embedding; the landscape is `grid` x `grid`.

    Each point of it is the loss on `landscape_limit` training patches in one batch.
    """

    limit: Count | None = 100
    integration_steps: Count = 32
    grid: Annotated[int, Field(ge=3)] = 21
    landscape_limit: Annotated[int, Field(ge=2)] = 64


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment:
    """One run from the patches to the report."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    crossval: CrossvalSettings = field(default_factory=CrossvalSettings)
    attack: AttackSettings = field(default_factory=AttackSettings)
    curves: CurvesSettings = field(default_factory=CurvesSettings)
    baselines: BaselinesSettings = field(default_factory=BaselinesSettings)
    universal: UniversalSettings = field(default_factory=UniversalSettings)
    natural: NaturalSettings = field(default_factory=NaturalSettings)
    defence: DefenceSettings = field(default_factory=DefenceSettings)
    explain: ExplainSettings = field(default_factory=ExplainSettings)


SECTIONS: dict[str, Any] = {
    f.name: f.default_factory for f in fields(Experiment) if f.name != "seed"
}


def read_experiment(path: Path | None, overrides: Mapping[str, Any]) -> Experiment:
    """The file's experiment, or the paper's; `overrides` such as {"training.epochs": 3} win."""
    origin = str(path) if path else "the command"
    table = _read_toml(path) if path else {}
    for name, value in overrides.items():
        section, _, key = name.rpartition(".")
        inner = table.setdefault(section, {}) if section else table
        if not isinstance(inner, dict):
            raise MlError(f"{origin}: {section} is not a section; write it as [{section}].")
        inner[key] = value
    try:
        # As JSON, because only there does strict validation take a table for a dataclass.
        return TypeAdapter(Experiment).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise MlError(f"{origin}: {_sentence(error)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MlError(f"There is no experiment file {path}; give the path of one.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MlError(f"{path} is not TOML ({error}); correct it there.") from None


def _sentence(error: ValidationError) -> str:
    """Tells of the first problem only: one sentence, what to do."""
    problem = error.errors()[0]
    *section, key = (str(part) for part in problem["loc"])
    name = ".".join([*section, key])
    if problem["type"] == "unexpected_keyword_argument":
        owner = SECTIONS.get(section[0], Experiment) if section else Experiment
        known = ", ".join(f.name for f in fields(owner))
        return f"the key {name} is unknown; known here are: {known}."
    match problem["type"]:
        case "string_pattern_mismatch":
            told = 'it should be grey levels as text, such as "2" or "0.5"'
        case _:
            told = problem["msg"].replace("Input should", "it should")
    return f"{name} is {problem['input']!r}, but {told}; change it."
