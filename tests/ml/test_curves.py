"""Every figure of the tables is made again here from the files, by the network alone."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ml.curve_jobs
import ml.curves
from ml.curves import run_curves
from ml.data import load_patches
from ml.errors import MlError
from ml.evaluation import p_positive, wilson
from ml.experiment import CurvesSettings, Experiment
from ml.networks import load_network
from ml.quantize import tensor_from_images

Rows = list[dict[str, str]]
SETTINGS = CurvesSettings(
    l0=("0.01", "0.2"),
    l1=("0.5", "8"),
    l2=("1", "20"),
    linf=("0.5", "4", "32"),
    steps=12,
    check_limit=4,
    check_steps=10,
)


def rows_of(path: Path) -> Rows:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def in_shards(experiment: Experiment) -> Experiment:
    """Several shards a norm."""
    attack = replace(experiment.attack, shard_size=5, slots=4)
    return replace(experiment, curves=SETTINGS, attack=attack)


@pytest.fixture(scope="module")
def run(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("curves")
    run_curves(workplace.network, workplace.data, out, in_shards(workplace.experiment))
    return out


def test_every_correct_held_out_patch_has_a_line_in_every_norm(run: Path, workplace: Any) -> None:
    network, card = load_network(workplace.network)
    patches = load_patches(workplace.data)
    held_out = [source.index for source in card.held_out]
    correct = {
        i
        for i in held_out
        if (p_positive(network, tensor_from_images(patches.images([i])))[0] >= 0.5)
        == (patches.labels[i] == 1)
    }
    rows = rows_of(run / "minimal.csv")
    assert list(rows[0]) == ["case", "norm", "epsilon_float", "epsilon_8bit", "truth"]
    for norm in ("none", "l0", "l1", "l2", "linf"):
        assert {int(row["case"]) for row in rows if row["norm"] == norm} == correct
    assert len(rows) == 5 * len(correct)
    truths = {int(row["case"]): int(row["truth"]) for row in rows}
    assert all(truths[i] == patches.labels[i] for i in correct)


def test_a_curve_counts_the_patches_within_each_epsilon(run: Path) -> None:
    minimal, curves = rows_of(run / "minimal.csv"), rows_of(run / "curves.csv")
    assert list(curves[0]) == [
        *("norm", "epsilon", "n", "successes", "rate", "low", "high", "method", "bits")
    ]
    points = [row for row in curves if row["method"] == "minimal"]
    assert len(points) == 2 * (2 + 2 + 2 + 2 + 3)
    for point in points:
        column = "epsilon_float" if point["bits"] == "float" else "epsilon_8bit"
        sizes = [float(row[column]) for row in minimal if row["norm"] == point["norm"]]
        within = sum(size <= float(point["epsilon"]) * 1.000001 for size in sizes)
        assert int(point["successes"]) == within
        assert float(point["rate"]) == within / len(sizes)
        assert (float(point["low"]), float(point["high"])) == wilson(within, len(sizes))
    most = [float(p["rate"]) for p in points if (p["norm"], p["epsilon"]) == ("linf", "32")]
    assert min(most) > 0.5, "hardly anything was fooled, so the curve tells nothing"


def test_below_one_grey_level_nothing_is_fooled_in_8_bits(run: Path) -> None:
    whole = [
        row for row in rows_of(run / "curves.csv") if (row["bits"], row["epsilon"]) == ("8", "0.5")
    ]
    assert {row["successes"] for row in whole if row["norm"] == "linf"} == {"0"}
    sizes = [
        float(row["epsilon_8bit"])
        for row in rows_of(run / "minimal.csv")
        if row["norm"] == "linf" and row["epsilon_8bit"] != "inf"
    ]
    assert all(size == round(size) >= 1 for size in sizes)


def test_the_examples_fool_the_network_and_have_the_sizes_of_the_table(
    run: Path, workplace: Any
) -> None:
    network, _ = load_network(workplace.network)
    with np.load(run / "examples.npz") as kept:
        originals, perturbed = kept["originals"], kept["perturbed"]
        told = kept["p_perturbed"]
    again = p_positive(network, tensor_from_images(perturbed))
    assert again == pytest.approx(told)
    before = p_positive(network, tensor_from_images(originals))
    assert ((before >= 0.5) != (again >= 0.5)).all()
    sizes = np.abs(perturbed.astype(int) - originals.astype(int)).max(axis=(1, 2, 3))
    table = {
        float(row["epsilon_8bit"]) for row in rows_of(run / "minimal.csv") if row["norm"] == "linf"
    }
    assert set(sizes.astype(float)) <= table
    seen = rows_of(run / "perceptibility.csv")
    assert {row["norm"] for row in seen} == {"none", "l0", "l1", "l2", "linf"}
    assert all(0 < float(row["ssim"]) <= 1 for row in seen)


def test_pgd_on_the_sample_is_set_beside_the_same_patches(run: Path) -> None:
    pgd = [row for row in rows_of(run / "curves.csv") if row["method"] == "pgd"]
    assert {row["n"] for row in pgd} == {"4"}
    checks = rows_of(run / "checks.csv")
    rates = {(r["norm"], r["epsilon"], r["bits"]): float(r["rate"]) for r in pgd}
    assert len(checks) == len(rates) == 2 * (2 + 2 + 2 + 3)
    for row in checks:
        assert float(row["rate_pgd"]) == rates[row["norm"], row["epsilon"], row["bits"]]
        difference = float(row["rate_minimal"]) - float(row["rate_pgd"])
        assert float(row["difference"]) == pytest.approx(difference)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def test_interrupted_between_and_within_jobs_it_goes_on_to_the_same_bytes(
    run: Path, workplace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = in_shards(workplace.experiment)
    began: list[str] = []

    def interrupting(after: int) -> Callable[..., None]:
        def search_shard(**arguments: Any) -> None:
            began.append(arguments["done"].name)
            if len(began) == after:
                raise KeyboardInterrupt
            ml.curve_jobs.search_shard(**arguments)

        return search_shard

    for after in (3, 6):
        monkeypatch.setattr(ml.curves, "search_shard", interrupting(after))
        with pytest.raises(KeyboardInterrupt):
            run_curves(workplace.network, workplace.data, tmp_path, experiment)
    monkeypatch.undo()
    run_curves(workplace.network, workplace.data, tmp_path, experiment)
    assert files_of(tmp_path) == files_of(run)
    assert len(began) - len(set(began)) == 1, "only what was interrupted began twice"


def test_several_processes_give_the_same_tables_but_for_rounding(
    run: Path, workplace: Any, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    assert threads == 1
    experiment = in_shards(workplace.experiment)
    run_curves(workplace.network, workplace.data, tmp_path, experiment, engine="local:2")
    for ours, theirs in zip(
        rows_of(tmp_path / "minimal.csv"), rows_of(run / "minimal.csv"), strict=True
    ):
        assert ours["case"] == theirs["case"]
        assert float(ours["epsilon_float"]) == pytest.approx(
            float(theirs["epsilon_float"]), rel=0.02
        )


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(
    run: Path, workplace: Any
) -> None:
    experiment = in_shards(workplace.experiment)
    before = (run / "curves.json").stat().st_mtime_ns
    run_curves(workplace.network, workplace.data, run, experiment)
    assert (run / "curves.json").stat().st_mtime_ns == before
    other = replace(experiment, curves=replace(SETTINGS, steps=13))
    with pytest.raises(MlError, match=r"other settings \(settings\)"):
        run_curves(workplace.network, workplace.data, run, other)
