"""`plainsight batch folders` and `batch table`: images that another tool attacked."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from app.batches.check import STANDARD_LIMITS
from app.batches.details import (
    IN_TABLE,
    NO_TUMOUR,
    TUMOUR,
    USUAL_CRITERION,
    Details,
    details_of,
)
from app.batches.foreign import Opener, check_foreign
from app.batches.service import Import, import_checked
from app.batches.sides import open_delivered, open_two
from app.cli_common import (
    database_option,
    json_option,
    opened,
    progress_on_terminal,
    settings_for,
    tell,
)
from app.storage.images import ImageStore
from app.vocabulary import DeliveryKind
from app.web.identity import now

Command = Callable[..., None]
EXISTING = click.Path(exists=True, path_type=Path)


def details_options(truths: list[str]) -> Callable[[Command], Command]:
    """What files cannot say, as `Details` has it."""
    options = [
        click.option("--name", required=True, help="Of the batch; for researchers only."),
        click.option(
            "--criterion",
            default=USUAL_CRITERION,
            show_default=True,
            help="The labelling rule, as readers may see it.",
        ),
        click.option("--attack", required=True, help="A short name such as fgsm."),
        click.option(
            "--norm",
            default="none",
            show_default=True,
            type=click.Choice(["none", "l0", "l1", "l2", "linf"]),
            help="What the budget limits.",
        ),
        click.option("--epsilon", default="", help="The budget, in grey levels; l0: a share."),
        click.option(
            "--truth",
            default=truths[0],
            show_default=True,
            type=click.Choice(truths),
            help="What the originals show.",
        ),
        click.option("--network", default="", help="What was attacked, such as resnet18."),
        click.option("--data-set", default="", help="Where the originals come from."),
        click.option("--micrometres-per-pixel", default="", help="Such as 0.25."),
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def import_here(
    opened_files: Opener,
    kind: DeliveryKind,
    details: Details,
    database: str | None,
    as_json: bool,
) -> None:
    settings = settings_for(database)
    with opened(settings) as store, progress_on_terminal("Importing") as progress:
        checked = check_foreign(opened_files, kind, details, progress)
        number = import_checked(checked, store, ImageStore(settings.images), Import(now()))
    tell(as_json, {"batch": number}, f"Imported as batch {number}.")


@click.command("folders")
@click.argument("original", type=EXISTING)
@click.argument("perturbed", type=EXISTING)
@details_options([TUMOUR, NO_TUMOUR])
@json_option
@database_option
def folders_command(
    original: Path, perturbed: Path, as_json: bool, database: str | None, **said: Any
) -> None:
    """Import two folders, or two zips, of images of equal names.

    Give only pairs whose attack succeeded: this is taken at your word.

    Example: plainsight batch folders clean.zip fgsm.zip --name "FGSM 4" --attack fgsm --norm linf
    --epsilon 4
    """
    files = partial(open_two, original, perturbed, STANDARD_LIMITS)
    import_here(files, DeliveryKind.FOLDERS, details_of(said), database, as_json)


@click.command("table")
@click.argument("path", type=EXISTING)
@details_options([IN_TABLE, TUMOUR, NO_TUMOUR])
@json_option
@database_option
def table_command(path: Path, as_json: bool, database: str | None, **said: Any) -> None:
    """Import a folder, or a zip, with manifest.csv and the images that it names.

    docs/batch-format.md tells what the table says.

    Example: plainsight batch table images.zip --name "All attacks" --attack fgsm
    """
    files = partial(open_delivered, path, STANDARD_LIMITS)
    import_here(files, DeliveryKind.MANIFEST, details_of(said), database, as_json)
