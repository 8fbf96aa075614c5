import csv
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ml.commands.train import train as command
from ml.data import Patch, Patches
from ml.errors import MlError
from ml.experiment import Experiment, TrainingSettings
from ml.learning import augment, learning_rate_at
from ml.networks import NetworkCard, build_network, load_network
from ml.progress import Update
from ml.training import finished_training, forget_training, network_path, train


def shorter(small: Experiment, epochs: int = 3, seed: int = 0) -> Experiment:
    return replace(small, seed=seed, training=replace(small.training, epochs=epochs))


def silent(done: int, total: int, note: str = "") -> None:
    pass


def interrupt_in_epoch(epoch: int) -> Update:
    def progress(done: int, total: int, note: str = "") -> None:  # noqa: ARG001
        if note.startswith(f"epoch {epoch} "):
            raise KeyboardInterrupt

    return progress


def what_it_is(card: NetworkCard) -> tuple[Any, ...]:
    return card.file_sha256, card.metrics, card.held_out


def test_the_same_seed_gives_the_same_network_to_the_last_bit(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches = make_patches(18)
    first = train(patches, shorter(small, 2), tmp_path / "first", silent)
    again = train(patches, shorter(small, 2), tmp_path / "again", silent)
    other = train(patches, shorter(small, 2, seed=1), tmp_path / "other", silent)
    assert what_it_is(first) == what_it_is(again)
    assert other.file_sha256 != first.file_sha256


def test_interrupted_and_continued_is_the_same_as_uninterrupted(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(18), shorter(small)
    whole = train(patches, experiment, tmp_path / "whole", silent)
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(patches, experiment, tmp_path / "parts", interrupt_in_epoch(epoch))
        assert finished_training(experiment, patches, tmp_path / "parts") is None
    told: list[str] = []

    def tell(done: int, total: int, note: str = "") -> None:  # noqa: ARG001
        told.append(note)

    parts = train(patches, experiment, tmp_path / "parts", tell)
    assert what_it_is(parts) == what_it_is(whole)
    assert {note.partition(" of ")[0] for note in told} == {"epoch 3"}
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [
        "log.csv",
        "network.json",
        "network.safetensors",
        "predictions.csv",
    ]


def test_a_damaged_unfinished_training_is_said_in_a_sentence(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "unfinished.pt").write_bytes(b"half a file")
    with pytest.raises(MlError, match=r"unfinished\.pt is damaged; start over with --fresh"):
        train(make_patches(18), small, tmp_path, silent)


def test_other_settings_never_continue_nor_pass_for_a_finished_training(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches = make_patches(18)
    with pytest.raises(KeyboardInterrupt):
        train(patches, shorter(small), tmp_path, interrupt_in_epoch(2))
    with pytest.raises(MlError, match=r"other settings \(training\)"):
        train(patches, shorter(small, epochs=4), tmp_path, silent)
    card = train(patches, shorter(small), tmp_path, silent)
    assert finished_training(shorter(small), patches, tmp_path) == card
    with pytest.raises(MlError, match=r"other settings \(seed\)"):
        finished_training(shorter(small, seed=1), patches, tmp_path)
    with pytest.raises(MlError, match=r"other settings \(data_sha256\)"):
        finished_training(shorter(small), make_patches(18, seed=1), tmp_path)


def test_the_attack_is_no_part_of_what_a_network_is(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(18), shorter(small, 1)
    card = train(patches, experiment, tmp_path, silent)
    other_attack = replace(experiment, attack=replace(experiment.attack, epsilon="3"))
    assert finished_training(other_attack, patches, tmp_path) == card


def test_the_log_and_the_predictions_tell_what_the_card_tells(workplace: Any) -> None:
    folder = workplace.network.parent
    _, card = load_network(network_path(folder))
    with (folder / "log.csv").open() as lines:
        log = list(csv.DictReader(lines))
    assert [int(line["epoch"]) for line in log] == list(range(1, 9))
    assert float(log[-1]["held_out_auc"]) == card.metrics["auc"]
    assert float(log[-1]["loss"]) < float(log[0]["loss"])
    with (folder / "predictions.csv").open() as lines:
        predictions = list(csv.DictReader(lines))
    assert len(predictions) == card.metrics["n"] == len(card.held_out)
    assert [int(line["index"]) for line in predictions] == [s.index for s in card.held_out]
    right = [(float(p["p_positive"]) >= 0.5) == (p["truth"] == "1") for p in predictions]
    assert np.mean(right) == card.metrics["accuracy"]


def test_no_held_out_patch_is_learned_from(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    """Changing the pixels of a held-out patch must leave the weights as they are."""
    patches = make_patches(18)
    card = train(patches, shorter(small, 1), tmp_path / "before", silent)
    held_out = card.held_out[0].index
    black = replace(patches.entries[held_out], read=lambda: np.zeros((32, 32, 3), np.uint8))
    entries = (*patches.entries[:held_out], black, *patches.entries[held_out + 1 :])
    changed = train(
        replace(patches, entries=entries), shorter(small, 1), tmp_path / "after", silent
    )
    assert changed.file_sha256 == card.file_sha256


def test_the_eight_symmetries_are_all_different_and_keep_all_pixels() -> None:
    image = torch.arange(27).reshape(3, 3, 3)
    turned = [augment(image, symmetry) for symmetry in range(8)]
    assert torch.equal(turned[0], image)
    assert len({tuple(t.flatten().tolist()) for t in turned}) == 8
    assert all(sorted(t.flatten().tolist()) == list(range(27)) for t in turned)


def test_one_cycle_rises_to_the_learning_rate_and_falls_to_nothing() -> None:
    settings = TrainingSettings(learning_rate=0.5, schedule="one-cycle")
    rates = [learning_rate_at(settings, share / 100) for share in range(101)]
    assert rates[0] == 0
    assert max(rates) == rates[30] == 0.5
    assert rates[-1] == pytest.approx(0)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert learning_rate_at(replace(settings, schedule="constant"), 0.9) == 0.5


def test_patches_that_are_not_square_are_refused(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches = make_patches(18)
    flat = [replace(p, read=lambda: np.zeros((16, 32, 3), np.uint8)) for p in patches.entries]
    with pytest.raises(MlError, match="square"):
        train(replace(patches, entries=tuple(flat)), small, tmp_path, silent)


def test_the_card_records_all_that_made_the_network(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(18), shorter(small, 1)
    card = train(patches, experiment, tmp_path, silent)
    assert card.settings["training"] == asdict(experiment.training)
    assert card.settings["seed"] == experiment.seed
    assert card.data_sha256 == patches.digest
    assert card.provenance["libraries"]["torch"] == torch.__version__.partition("+")[0]
    assert card.provenance["threads"] == torch.get_num_threads()


METHODS = {
    "free": {"method": "free", "replays": 2, "epochs": 6},
    "pgd": {"method": "pgd", "pgd_steps": 1},
    "early stopping": {"early_stopping": 3},
    "bf16": {"precision": "bf16"},
}


@pytest.mark.parametrize("settings", METHODS.values(), ids=METHODS.keys())
def test_every_method_goes_on_to_the_last_bit(
    make_patches: Callable[..., Patches],
    small: Experiment,
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    """Of a network that draws by chance while it learns (dropout)."""
    experiment = replace(
        small,
        network=replace(small.network, architecture="mobilenet_v3_small"),
        training=replace(small.training, **{"epochs": 3, **settings}),
    )
    patches = make_patches(18)
    whole = train(patches, experiment, tmp_path / "whole", silent)
    with pytest.raises(KeyboardInterrupt):
        train(patches, experiment, tmp_path / "parts", interrupt_in_epoch(3))
    torch.rand(5)
    parts = train(patches, experiment, tmp_path / "parts", silent)
    assert what_it_is(parts) == what_it_is(whole)
    plain = replace(experiment, training=replace(small.training, epochs=3))
    assert train(patches, plain, tmp_path / "plain", silent).file_sha256 != whole.file_sha256


def read_log(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as lines:
        return list(csv.DictReader(lines))


def stopping_early(small: Experiment, patience: int) -> Experiment:
    training = replace(small.training, epochs=9, early_stopping=patience, learning_rate=0.01)
    return replace(small, training=training)


def test_early_stopping_gives_the_network_of_the_best_epoch(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(40), stopping_early(small, patience=2)
    train(patches, experiment, tmp_path, silent, keep_epochs=True)
    seen = [float(line["validation_auc"]) for line in read_log(tmp_path)]
    best = seen.index(max(seen)) + 1
    assert len(seen) == min(best + 2, 9)
    assert best < len(seen)
    kept = (tmp_path / "epochs" / f"epoch-{best:03}.safetensors").read_bytes()
    assert network_path(tmp_path).read_bytes() == kept


def test_early_stopping_never_looks_at_a_held_out_patch(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    settings = replace(small.training, epochs=3, early_stopping=1)
    patches, experiment = make_patches(30), replace(small, training=settings)
    card = train(patches, experiment, tmp_path / "before", silent)
    held_out = {source.index for source in card.held_out}
    black = tuple(
        replace(p, read=lambda: np.zeros((32, 32, 3), np.uint8)) if i in held_out else p
        for i, p in enumerate(patches.entries)
    )
    changed = train(replace(patches, entries=black), experiment, tmp_path / "after", silent)
    assert changed.file_sha256 == card.file_sha256
    before, after = (tmp_path / name / "predictions.csv" for name in ("before", "after"))
    assert before.read_text() != after.read_text()


def test_patches_of_one_group_are_set_aside_together(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    """Each patch has a twin; the patches set aside are read before those to learn from."""
    patches = make_patches(20)
    twins = tuple(replace(p, digest=f"{p.digest} twin") for p in patches.entries)
    both = replace(patches, entries=(*patches.entries, *twins))
    read: list[int] = []
    split = (np.arange(40), np.arange(2))

    def counting(i: int) -> Patch:
        def read_it() -> NDArray[np.uint8]:
            read.append(i)
            return both.entries[i].read()

        return replace(both.entries[i], read=read_it)

    counted = tuple(counting(i) for i in range(len(both)))
    train(
        replace(both, entries=counted),
        replace(small, training=replace(small.training, epochs=1, early_stopping=1)),
        tmp_path,
        silent,
        split=split,
    )
    aside, learned = read[:8], read[8:-2]
    assert {i % 20 for i in learned}.isdisjoint(i % 20 for i in aside)
    assert sorted([*learned, *aside]) == list(range(40))


def test_the_weights_of_every_epoch_are_kept_for_who_asks(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(18), shorter(small, 3)
    with pytest.raises(KeyboardInterrupt):
        train(patches, experiment, tmp_path, interrupt_in_epoch(2), keep_epochs=True)
    train(patches, experiment, tmp_path, silent, keep_epochs=True)
    kept = sorted((tmp_path / "epochs").iterdir())
    assert [path.name for path in kept] == [f"epoch-00{n}.safetensors" for n in range(4)]
    before = build_network("none", seed=0).state_dict()
    first = safetensors.torch.load_file(kept[0])
    assert all(torch.equal(first[name], value) for name, value in before.items())
    assert kept[-1].read_bytes() == network_path(tmp_path).read_bytes()
    forget_training(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_fold_is_learned_as_it_was_given_and_passes_for_no_other(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(18), shorter(small, 1)
    split = np.arange(6, 18), np.arange(6)
    card = train(patches, experiment, tmp_path, silent, split=split, fold={"run": 1, "fold": 2})
    assert [source.index for source in card.held_out] == list(range(6))
    assert card.settings["fold"] == {"run": 1, "fold": 2}
    assert finished_training(experiment, patches, tmp_path, {"run": 1, "fold": 2}) == card
    with pytest.raises(MlError, match=r"other settings \(fold\)"):
        finished_training(experiment, patches, tmp_path, {"run": 1, "fold": 3})


def test_tensorboard_is_told_what_the_log_tells(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches, experiment = make_patches(18), shorter(small, 2)
    with pytest.raises(KeyboardInterrupt):
        train(patches, experiment, tmp_path, interrupt_in_epoch(2), tensorboard=True)
    train(patches, experiment, tmp_path, silent, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    told = events.Scalars("loss")
    assert [event.step for event in told] == [1, 2]
    logged = [float(line["loss"]) for line in read_log(tmp_path)]
    assert [event.value for event in told] == pytest.approx(logged)


def test_without_tensorboard_it_says_how_to_install_it(
    make_patches: Callable[..., Patches],
    small: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MlError, match=r"pip install 'plainsight\[tensorboard\]'"):
        train(make_patches(18), small, tmp_path, silent, tensorboard=True)


def test_a_network_that_takes_no_images_of_this_size_is_told_before_training(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    network = replace(small.network, architecture="inception_v3")
    with pytest.raises(MlError, match=r"inception_v3 takes no images of 32 x 32 pixels.*data.size"):
        train(make_patches(18), replace(small, network=network), tmp_path, silent)


def test_the_command_learns_from_patches_of_the_size_that_was_asked_for(
    make_patch_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """This network takes 96 x 96 pixels, but not on the 32 x 32 of the folder."""
    (tmp_path / "small.toml").write_text(
        '[data]\nsize = 96\n[network]\narchitecture = "inception_v3"\nweights = "none"\n'
        "[training]\nepochs = 1\n"
    )
    folder = make_patch_folder(tmp_path / "data", count=12)
    arguments = [str(tmp_path / "small.toml"), "--data", str(folder), "--out"]
    told = CliRunner().invoke(
        command, [*arguments, str(tmp_path / "out"), "--keep-epochs", "--device", "cpu"]
    )
    assert told.exit_code == 0, told.output
    assert load_network(network_path(tmp_path / "out"))[0].architecture == "inception_v3"
    assert len(list((tmp_path / "out" / "epochs").iterdir())) == 2
