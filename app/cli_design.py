"""The options of `plainsight study create`: each is a field of NewStudy, with its meaning."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click

from app.studies.domain import QUESTION
from app.vocabulary import Estimand, PairTask, Undo

Command = TypeVar("Command", bound=Callable[..., Any])
AT_LEAST_0 = click.IntRange(min=0)


def one_of(kind: type[StrEnum]) -> dict[str, Any]:
    """An option that takes one word of a closed set."""

    def chosen(_context: click.Context, _option: click.Parameter, word: str | None) -> object:
        return word and kind(word)

    return {"type": click.Choice([each.value for each in kind]), "callback": chosen}


SHOWN = [
    click.option(
        "--public-title",
        default="Reading study of tissue images",
        show_default=True,
        help="What readers see; must not say what is studied.",
    ),
    click.option("--question", default=QUESTION, show_default=True),
    click.option("--criterion", help="The batch's own when not given."),
    click.option("--sets", default=2, show_default=True, help="How often each image is shown."),
    click.option("--cases", type=int, help="At most so many cases of the batch, drawn at random."),
    click.option("--negatives", type=int, help="So many of them without tumour."),
    click.option(
        "--gap", "minimum_gap", type=int, help="Least distance between two showings of a case."
    ),
    click.option("--condition", "conditions", multiple=True, help="Only these; may be repeated."),
    click.option(
        "--masking", is_flag=True, help="Show every image in one of its flips and rotations."
    ),
]
ANSWERS = [
    click.option("--confidence", is_flag=True, help="Ask after each answer how sure, 1 to 5."),
    click.option("--few-cells", is_flag=True, help='Offer "1 to 4 tumour cells".'),
    click.option("--cannot-assess", is_flag=True, help='Offer "Cannot assess".'),
    click.option(
        "--undo",
        default=Undo.ONE.value,
        show_default=True,
        help="Which answers may be taken back: none, the last one, or one after another.",
        **one_of(Undo),
    ),
]
SITTINGS = [
    click.option("--waves", default=1, show_default=True, help="Sittings on different days."),
    click.option(
        "--washout-days",
        default=14,
        show_default=True,
        help="Least number of days between two sittings.",
    ),
    click.option(
        "--break-after-images",
        default=40,
        show_default=True,
        type=AT_LEAST_0,
        help="Offer a break after so many; 0 for never.",
    ),
    click.option(
        "--break-after-minutes",
        default=20,
        show_default=True,
        type=AT_LEAST_0,
        help="Offer a break after so many; 0 for never.",
    ),
]
PRACTICE = [
    click.option(
        "--practice",
        default=0,
        show_default=True,
        type=AT_LEAST_0,
        help="So many practice images, of cases that are not read.",
    ),
    click.option(
        "--practice-batch",
        metavar="BATCH",
        help="Where practice images come from; the study's own batch when not given.",
    ),
    click.option("--feedback", is_flag=True, help="Tell the right answer, in practice only."),
]
CATCH = [
    click.option(
        "--catch",
        default=0,
        show_default=True,
        type=AT_LEAST_0,
        help="So many clear cases among the images that are read, in no result.",
    ),
    click.option(
        "--catch-batch",
        metavar="BATCH",
        help="Where catch images come from; the study's own batch when not given.",
    ),
    click.option(
        "--catch-least",
        metavar="SHARE",
        type=float,
        help="The least share of catch images right that shows attention, such as 0.8.",
    ),
]
PAIRS = [
    click.option(
        "--pairs",
        "pair_task",
        help="A block of pairs after reading: which image was altered, or same or different.",
        **one_of(PairTask),
    ),
    click.option(
        "--pair-condition",
        "pair_conditions",
        multiple=True,
        help="Only these in pairs, all of the batch when not given; may be repeated.",
    ),
    click.option("--not-sure", is_flag=True, help='Offer "Not sure" for pairs.'),
]
PLAN = [
    click.option(
        "--primary",
        "estimand",
        default=Estimand.FLIPS.value,
        show_default=True,
        help="What the study sets out to show: flips, or the difference in true positives.",
        **one_of(Estimand),
    ),
    click.option(
        "--margin-flips", default=0.05, show_default=True, help="Of the excess flip rate."
    ),
    click.option(
        "--margin-tp", default=0.10, show_default=True, help="Of sensitivity and specificity."
    ),
    click.option("--alpha", default=0.05, show_default=True),
    click.option(
        "--minimum-time",
        "minimum_time_ms",
        metavar="MS",
        type=int,
        help="Leave out answers that took less.",
    ),
    click.option(
        "--maximum-time",
        "maximum_time_ms",
        metavar="MS",
        type=int,
        help="Leave out answers that took more.",
    ),
    click.option(
        "--instructions",
        default="",
        help="Shown to readers below the criterion at the start.",
    ),
    click.option(
        "--scan-reason", default="", help="Why a batch whose blinding scan is amber may be read."
    ),
]
OPTIONS = [*SHOWN, *ANSWERS, *SITTINGS, *PRACTICE, *CATCH, *PAIRS, *PLAN]


def design_options(command: Command) -> Command:
    for option in reversed(OPTIONS):
        command = option(command)
    return command
