"""What a person must say of images that another tool attacked, since files cannot say it."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from app.batches.manifest import Identifier, NumberText, Part, Text200
from app.errors import Invalid

Norm = Literal["none", "l0", "l1", "l2", "linf"]
TUMOUR, NO_TUMOUR, IN_TABLE = "tumour", "no_tumour", "table"
NOT_STATED = "not stated"
USUAL_CRITERION = "Tumour: 5 or more tumour cells. No tumour: no tumour cell."
IDENTIFIER = "use letters, digits, points, - and _ only, such as fgsm"
NUMBER = "write it as a number such as 4 or 0.5"
FIELDS = {
    "name": ("The name", "use 1 to 200 characters"),
    "criterion": ("The criterion", "say in 1 to 500 characters what counts as tumour"),
    "network": ("The network", "use at most 100 characters"),
    "data_set": ("The data set", "use at most 100 characters"),
    "attack": ("The attack", IDENTIFIER),
    "norm": ("The norm", "choose none, l0, l1, l2 or linf"),
    "epsilon": ("Epsilon", NUMBER),
    "truth": ("The truth", "choose one of those that are offered"),
    "micrometres_per_pixel": ("Micrometres per pixel", NUMBER),
}


class Details(Part):
    """What holds for all images, or for those of which a table says nothing else."""

    name: Text200
    criterion: Annotated[str, Field(min_length=1, max_length=500)]
    network: Annotated[str, Field(max_length=100)] = ""
    data_set: Annotated[str, Field(max_length=100)] = ""
    attack: Identifier
    norm: Norm = "none"
    epsilon: NumberText | None = None
    truth: Literal["tumour", "no_tumour", "table"] = "tumour"
    micrometres_per_pixel: Annotated[float, Field(ge=0, le=100)] = 0

    @field_validator("name", "criterion", "network", "data_set")
    @classmethod
    def can_be_stored(cls, value: str) -> str:
        if "\x00" in value:
            raise ValueError("a character that cannot be stored")
        return value.strip()


def details_of(values: dict[str, str]) -> Details:
    """From a form or a command line, where nothing was said is "". Invalid with every problem."""
    said: dict[str, Any] = {
        name: value.strip() for name, value in values.items() if name in FIELDS and value.strip()
    }
    problems = []
    try:
        said["micrometres_per_pixel"] = float(said.get("micrometres_per_pixel", 0))
    except ValueError:
        problems.append(in_words("micrometres_per_pixel"))
        said["micrometres_per_pixel"] = 0.0
    try:
        details = Details.model_validate(said)
    except ValidationError as error:
        problems.extend(in_words(str(detail["loc"][0])) for detail in error.errors())
    else:
        problems.extend(wrong_budget(details.norm, details.epsilon))
        if not problems:
            return details
    raise Invalid("Please check what is said of the images.", problems=tuple(problems))


def in_words(name: str) -> str:
    subject, fix = FIELDS[name]
    return f"{subject} is missing or not right: {fix}."


def wrong_budget(norm: str, epsilon: str | None) -> list[str]:
    if norm == "none" and epsilon is not None:
        return ["Epsilon belongs to a norm: choose the norm, or leave epsilon empty."]
    if norm != "none" and epsilon is None:
        return [f"The norm {norm} needs an epsilon: {NUMBER}, or choose no norm."]
    return []
