"""The `plainsight-ml` command: tissue, training, attack, batch."""

import os
from typing import Any, NoReturn

import click

from ml.commands.attack import attack
from ml.commands.baselines import baselines
from ml.commands.batch import batch
from ml.commands.crossval import crossval
from ml.commands.curves import curves
from ml.commands.defence import defence
from ml.commands.embedding import embedding
from ml.commands.figures import figures
from ml.commands.landscape import landscape
from ml.commands.natural import natural
from ml.commands.phantom import phantom
from ml.commands.reproduce import reproduce
from ml.commands.saliency import saliency
from ml.commands.train import train
from ml.commands.universal import universal
from ml.errors import MlError

# Threads that wait for each other by spinning make torch up to eight times slower as soon as
# anything else runs on the machine. OpenMP reads this when torch is loaded, so it is set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Commands(click.Group):
    """Tells every failure in one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MlError as error:
            _fail(str(error))
        except ModuleNotFoundError as error:
            _fail(f"{error.name} is not installed; install it with: pip install 'plainsight[ml]'")
        except OSError as error:
            _fail(f"{error.filename or 'A file'}: {error.strerror or error}; give another path.")
        except KeyboardInterrupt:
            told = "it goes on after the last epoch or shard that is finished"
            click.echo(f"Interrupted; run the same command again ({told}).", err=True)
            ctx.exit(130)


def _fail(sentence: str) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    raise SystemExit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="plainsight")
def main() -> None:
    """Train a network on tissue patches, attack it, and deliver proven attacks as a batch.

    \b
    Without any download:
      plainsight-ml phantom tissue
      plainsight-ml train experiments/phantom.toml --data tissue --out network
      plainsight-ml attack network/network.safetensors --data tissue --out attack --epsilon 4
      plainsight-ml batch attack --out batch.zip --count 20
    """


for command in (
    phantom,
    train,
    crossval,
    attack,
    batch,
    curves,
    baselines,
    universal,
    natural,
    defence,
    saliency,
    embedding,
    landscape,
    figures,
    reproduce,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
