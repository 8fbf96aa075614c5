"""Every fold is trained once, judged on what was held out, and told in tables that agree."""

import csv
import json
import pickle
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import roc_auc_score

import ml.crossval
import ml.progress
from ml.cli import main
from ml.crossval import Crossval, fold_folder, fold_job, run_crossval
from ml.data import load_patches
from ml.errors import MlError
from ml.experiment import Experiment, read_experiment
from ml.files import sha256_of
from ml.networks import load_card
from ml.splits import folds_of
from ml.training import train

TABLES = ("table1a.csv", "predictions.csv", "roc.csv", "calibration.csv", "confusion.csv")
QUICK = """
[network]
architecture = "shufflenet_v2_x0_5"
weights = "none"
[training]
optimizer = "adamw"
learning_rate = 0.003
epochs = 2
batch_size = 6
[crossval]
runs = 2
folds = 2
"""
FOLDS = ((1, 1), (1, 2), (2, 1), (2, 2))


def write_tiles(folder: Path, *, tiles: int = 8, folds: str = "") -> Path:
    """Three patches a tile: pink, in every other tile with violet blobs for tumour."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    lines = ["file,label,n_tumour_nuclei,tile,fold"]
    for i in range(3 * tiles):
        tile = i // 3
        pixels = np.full((32, 32, 3), (225.0, 170.0, 200.0))
        for row, column in chance.integers(0, 24, (6 if tile % 2 else 1, 2)):
            pixels[row : row + 8, column : column + 8] = (110, 70, 150)
        pixels += chance.normal(0, 40, pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        label, fold = tile % 2, folds[tile] if folds else ""
        lines.append(f"{i}.png,{label},{6 * label},{tile},{fold}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def quick(path: Path, **overrides: Any) -> Experiment:
    """The experiment of QUICK, kept as a file beside the data."""
    file = path / "quick.toml"
    file.write_text(QUICK)
    return read_experiment(file, {name.replace("__", "."): v for name, v in overrides.items()})


@dataclass(frozen=True)
class Finished:
    """A whole cross-validation, for reading only."""

    data: Path
    out: Path
    experiment: Experiment
    found: Crossval

    @property
    def experiment_file(self) -> Path:
        return self.data.parent / "quick.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("crossval")
    data, out, experiment = write_tiles(folder / "data"), folder / "out", quick(folder)
    return Finished(data, out, experiment, run_crossval(data, out, experiment, device="cpu"))


def table(out: Path, name: str) -> list[dict[str, str]]:
    with (out / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def of_fold(rows: list[dict[str, str]], run: int, fold: int) -> list[dict[str, str]]:
    return [row for row in rows if (row["run"], row["fold"]) == (str(run), str(fold))]


def truth_and_p(rows: list[dict[str, str]]) -> tuple[list[int], list[float]]:
    return [int(row["truth"]) for row in rows], [float(row["p_positive"]) for row in rows]


@contextmanager
def trainings(
    monkeypatch: pytest.MonkeyPatch, interrupt_in: tuple[int, str] | None = None
) -> Iterator[list[tuple[str, str]]]:
    """Notes folder and first epoch of each training.

    `interrupt_in` = (2, "epoch 2 ") interrupts the second training when its second epoch begins.
    """
    seen: list[tuple[str, str]] = []

    def watched(*arguments: Any, **settings: Any) -> Any:
        patches, experiment, out, progress = arguments
        seen.append((out.name, ""))
        number = len(seen)

        def tell(done: int, total: int, note: str = "") -> None:
            if not seen[number - 1][1]:
                seen[number - 1] = (out.name, note.partition(" of ")[0])
            if interrupt_in and number == interrupt_in[0] and note.startswith(interrupt_in[1]):
                raise KeyboardInterrupt
            progress(done, total, note)

        return train(patches, experiment, out, tell, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(ml.crossval, "train", watched)
        yield seen


# The tables.


def test_each_run_judges_every_patch_once_by_a_network_that_never_saw_its_tile(
    finished: Finished,
) -> None:
    rows = table(finished.out, "predictions.csv")
    for run in (1, 2):
        judged = Counter(int(row["index"]) for row in rows if row["run"] == str(run))
        assert judged == dict.fromkeys(range(24), 1)
    for row in rows:
        assert int(row["truth"]) == int(row["index"]) // 3 % 2
        assert (row["data_set"], row["source_fold"]) == ("data", "")
    for run, fold in FOLDS:
        tiles = Counter(int(row["index"]) // 3 for row in of_fold(rows, run, fold))
        assert set(tiles.values()) == {3}
        card = load_card(finished.out / f"folds/run-{run}-fold-{fold}/network.safetensors")
        assert {source.index // 3 for source in card.held_out} == set(tiles)


def test_table_1a_agrees_with_sklearn_and_with_counting_on_the_predictions(
    finished: Finished,
) -> None:
    predictions, confusion = (table(finished.out, f"{n}.csv") for n in ("predictions", "confusion"))
    rows = table(finished.out, "table1a.csv")
    assert list(rows[0]) == ["fold", "run", "accuracy", "auc"]
    assert [(int(row["run"]), int(row["fold"])) for row in rows] == list(FOLDS)
    for row, cells in zip(rows, confusion, strict=True):
        truth, p = truth_and_p(of_fold(predictions, int(row["run"]), int(row["fold"])))
        right = sum((value >= 0.5) == (label == 1) for value, label in zip(p, truth, strict=True))
        assert float(row["auc"]) == roc_auc_score(truth, p)
        assert float(row["accuracy"]) == right / len(p)
        assert int(cells["true_positive"]) + int(cells["true_negative"]) == right
        assert int(cells["true_positive"]) + int(cells["false_negative"]) == sum(truth)
        assert sum(int(value) for name, value in cells.items() if "_" in name) == len(p)


def test_the_area_below_each_roc_is_the_auc_of_its_fold(finished: Finished) -> None:
    points = table(finished.out, "roc.csv")
    for row in table(finished.out, "table1a.csv"):
        of_this = of_fold(points, int(row["run"]), int(row["fold"]))
        rates = [[float(p[f"{kind}_positive_rate"]) for p in of_this] for kind in ("true", "false")]
        assert np.trapezoid(rates[0], rates[1]) == pytest.approx(float(row["auc"]))


def test_means_and_deviations_are_those_of_the_table(finished: Finished) -> None:
    facts = json.loads((finished.out / "crossval.json").read_text())
    for name in ("auc", "accuracy"):
        values = [float(row[name]) for row in table(finished.out, "table1a.csv")]
        assert facts[f"{name}_mean"] == pytest.approx(statistics.mean(values))
        assert facts[f"{name}_sd"] == pytest.approx(statistics.stdev(values))
    assert finished.found.auc_sd == facts["auc_sd"]
    assert (facts["n_folds"], facts["n_patches"], facts["n_positive"]) == (4, 24, 12)
    assert facts["training_seconds"] > 0
    assert facts["data_sha256"] == load_patches(finished.data).digest
    assert facts["training"] == asdict(finished.experiment.training)


def test_calibration_is_of_all_predictions_and_its_error_of_each_run(finished: Finished) -> None:
    rows = table(finished.out, "predictions.csv")
    bins = table(finished.out, "calibration.csv")
    assert sum(int(b["n"]) for b in bins) == len(rows) == 48
    for run, error in zip((1, 2), finished.found.ece, strict=True):
        truth, p = truth_and_p([row for row in rows if row["run"] == str(run)])
        gaps = 0.0
        for b in bins:
            inside = [i for i, q in enumerate(p) if float(b["low"]) < q <= float(b["high"])]
            gaps += abs(sum(p[i] - truth[i] for i in inside))
        assert error == pytest.approx(gaps / len(p))


def test_the_first_fold_alone_keeps_its_epochs(finished: Finished) -> None:
    kept = sorted(finished.out.glob("folds/*/epochs/*.safetensors"))
    assert [str(path.relative_to(finished.out / "folds")) for path in kept] == [
        f"run-1-fold-1/epochs/epoch-00{epoch}.safetensors" for epoch in range(3)
    ]


def test_each_run_starts_from_weights_of_its_own(finished: Finished) -> None:
    seeds = [
        load_card(finished.out / f"folds/run-{run}-fold-{fold}/network.safetensors").settings[
            "seed"
        ]
        for run, fold in FOLDS
    ]
    assert seeds == [0, 0, 1, 1]


def test_own_folds_are_held_out_once_each(tmp_path: Path) -> None:
    data = write_tiles(tmp_path / "data", tiles=6, folds="112233")
    experiment = quick(tmp_path, crossval__scheme="own", training__epochs=1)
    found = run_crossval(data, tmp_path / "out", experiment, device="cpu")
    assert found.n_folds == 3
    assert len(found.ece) == 1
    rows = table(tmp_path / "out", "predictions.csv")
    assert {(row["run"], row["fold"], row["source_fold"]) for row in rows} == {
        ("1", fold, fold) for fold in "123"
    }


# Going on, and starting over.


def test_an_interrupted_run_trains_only_what_is_missing_and_gives_the_same_tables(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> Crossval:
        return run_crossval(finished.data, tmp_path, finished.experiment, device="cpu")

    with trainings(monkeypatch, (2, "epoch 2 ")) as before, pytest.raises(KeyboardInterrupt):
        again()
    assert [name for name, _ in before] == ["run-1-fold-1", "run-1-fold-2"]
    assert not list(tmp_path.glob("*.csv"))
    with trainings(monkeypatch) as after:
        found = again()
    assert after == [
        ("run-1-fold-2", "epoch 2"),
        ("run-2-fold-1", "epoch 1"),
        ("run-2-fold-2", "epoch 1"),
    ]
    assert replace(found, training_seconds=0) == replace(finished.found, training_seconds=0)
    for name in TABLES:
        assert (tmp_path / name).read_bytes() == (finished.out / name).read_bytes()


def test_a_finished_run_is_not_trained_again(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trainings(monkeypatch) as seen:
        again = run_crossval(finished.data, finished.out, finished.experiment, device="cpu")
    assert seen == []
    assert again == finished.found


def test_other_settings_or_data_are_refused_in_the_same_folder(
    finished: Finished, tmp_path: Path
) -> None:
    other = replace(finished.experiment, seed=1)
    with pytest.raises(MlError, match=r"other settings \(seed\); choose another folder"):
        run_crossval(finished.data, finished.out, other, device="cpu")
    fewer = write_tiles(tmp_path / "data", tiles=6)
    with pytest.raises(MlError, match=r"other settings \(data_sha256\)"):
        run_crossval(fewer, finished.out, finished.experiment, device="cpu")


def test_unfinished_folds_of_other_settings_are_refused_before_anything_is_trained(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trainings(monkeypatch, (2, "epoch 1 ")), pytest.raises(KeyboardInterrupt):
        run_crossval(finished.data, tmp_path, finished.experiment, device="cpu")
    other = replace(finished.experiment, seed=1)
    with trainings(monkeypatch) as seen, pytest.raises(MlError, match="other settings"):
        run_crossval(finished.data, tmp_path, other, device="cpu")
    assert seen == []


def test_fresh_starts_over(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(finished.experiment, training=replace(finished.experiment.training, epochs=1))
    run_crossval(finished.data, tmp_path, short, device="cpu")
    with trainings(monkeypatch, (2, "epoch 1 ")), pytest.raises(KeyboardInterrupt):
        run_crossval(finished.data, tmp_path, replace(short, seed=1), device="cpu", fresh=True)
    assert not (tmp_path / "crossval.json").exists()
    with trainings(monkeypatch) as seen:
        run_crossval(finished.data, tmp_path, replace(short, seed=1), device="cpu")
    assert [name for name, _ in seen] == ["run-1-fold-2", "run-2-fold-1", "run-2-fold-2"]


def test_too_few_groups_are_refused_before_anything_is_written(
    finished: Finished, tmp_path: Path
) -> None:
    many = quick(tmp_path, crossval__folds=5)
    with pytest.raises(MlError, match="Only 4 groups of data hold tumour patches"):
        run_crossval(finished.data, tmp_path / "out", many, device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_fold_sent_elsewhere_gives_the_same_network(finished: Finished, tmp_path: Path) -> None:
    patches = load_patches(finished.data)
    settings = finished.experiment.crossval
    fold = folds_of(patches, **asdict(settings), seed=finished.experiment.seed)[3]
    job = fold_job(patches, fold, finished.experiment, tmp_path, "cpu")
    sent = pickle.loads(pickle.dumps(job))  # noqa: S301 - our own bytes
    sent.function(**sent.arguments)
    assert sent.done.is_file()
    here = fold_folder(finished.out, fold) / "network.safetensors"
    assert sha256_of(sent.done.with_suffix(".safetensors")) == sha256_of(here)


def test_progress_tells_the_fold_and_how_its_training_goes(
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ml.progress, "SECONDS_BETWEEN_LINES", 0)
    one_run = quick(tmp_path, crossval__runs=1)
    run_crossval(finished.data, tmp_path / "out", one_run, device="cpu")
    told = capsys.readouterr().err
    log = table(tmp_path / "out/folds/run-1-fold-2", "log.csv")
    assert f"fold 2 of 2, epoch 1: loss {float(log[0]['loss']):.3f}, held-out AUC " in told
    assert "patches learned from: 48 of 48, fold 2 of 2" in told


# The command.


def crossval_command(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, ["crossval", *(str(a) for a in arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_tells_means_and_deviations(finished: Finished) -> None:
    told = crossval_command(
        finished.experiment_file, "--data", finished.data, "--out", finished.out, "--device", "cpu"
    )
    found = finished.found
    assert f"AUC {found.auc_mean:.3f} (SD {found.auc_sd:.3f}), accuracy" in told
    assert "over 4 folds of 24 patches" in told


def test_the_command_gives_json(finished: Finished) -> None:
    told = crossval_command(
        finished.experiment_file, "--data", finished.data, "--out", finished.out, "--json"
    )
    outcome = json.loads(told)
    assert outcome["auc_mean"] == finished.found.auc_mean
    assert outcome["ece"] == list(finished.found.ece)
    assert outcome["out"] == str(finished.out)
