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
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """Which patches; without `tissue`, what `ml.data.load_patches` takes by itself."""

    tissue: str | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkSettings:
    """`weights` to start from: "imagenet", "none" (random), or a file of ResNet-18 weights."""

    architecture: Literal["resnet18"] = "resnet18"
    weights: str = "imagenet"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingSettings:
    """The paper's section 2.1; what it does not tell is our choice: batch size, augmentation."""

    optimizer: Literal["adadelta", "adamw"] = "adadelta"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    schedule: Literal["constant", "one-cycle"] = "constant"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    epochs: Count = 25
    batch_size: Annotated[int, Field(ge=2)] = 16
    augmentation: bool = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AttackSettings:
    """`epsilon` and `step_size` in grey levels; without `step_size`, a quarter of epsilon."""

    norm: Literal["linf"] = "linf"
    epsilon: GreyLevels = "2"
    steps: Count = 20
    step_size: GreyLevels | None = None
    confidence_target: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    random_start: bool = False
    slots: Count = 8
    finish_steps: Annotated[int, Field(ge=0)] = 5
    search_precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def epsilon_grey_levels(self) -> Decimal:
        return Decimal(self.epsilon)

    @property
    def step_size_text(self) -> str:
        return self.step_size or f"{round(self.epsilon_grey_levels / 4, 12).normalize():f}"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment:
    """One run from the patches to the attack."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    attack: AttackSettings = field(default_factory=AttackSettings)


SECTIONS: dict[str, Any] = {
    "data": DataSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "attack": AttackSettings,
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
