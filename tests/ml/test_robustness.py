import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from ml.cli import main
from ml.data import load_patches
from ml.errors import MlError
from ml.experiment import Experiment, NaturalSettings
from ml.matched_energy import NaturalRow, match, sentence
from ml.natural import CHANGES
from ml.networks import load_network
from ml.robustness import NaturalSummary, run_natural

COLUMNS = "change,level,n,successes,rate,low,high,l1_mad,l2_rmsd,linf,ssim"
ATTACKS = (("pgd_linf", 24.0), ("pgd_l2", 12.0))


@pytest.fixture(scope="session")
def settings(workplace: Any) -> Experiment:
    natural = NaturalSettings(linf=("24",), l2=("12",))
    attack = replace(workplace.experiment.attack, steps=5, finish_steps=2)
    experiment: Experiment = replace(workplace.experiment, natural=natural, attack=attack)
    return experiment


@pytest.fixture(scope="session")
def folder(workplace: Any, settings: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("natural")
    run_natural(workplace.network, workplace.data, out, settings)
    return out


@pytest.fixture
def table(folder: Path) -> dict[tuple[str, float], dict[str, float]]:
    with (folder / "natural.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    return {
        (row["change"], float(row["level"])): {k: float(v) for k, v in row.items() if k != "change"}
        for row in rows
    }


def classes(network: Any, pixels: list[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """By nothing but the network itself."""
    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        classes: NDArray[np.int64] = network(batch).argmax(dim=1).numpy()
    return classes


def test_the_table_has_every_change_and_level_and_each_attack_with_its_noise(
    folder: Path, table: dict[tuple[str, float], dict[str, float]]
) -> None:
    assert (folder / "natural.csv").read_text().splitlines()[0] == COLUMNS
    natural = {(change.name, float(level)) for change in CHANGES for level in change.levels}
    noise = {(f"random_as_{change}", level) for change, level in ATTACKS}
    assert table.keys() == natural | set(ATTACKS) | noise


def test_successes_and_energies_are_those_of_the_changed_patches(
    workplace: Any, settings: Experiment, table: dict[tuple[str, float], dict[str, float]]
) -> None:
    """Done again patch by patch, from the files of patches and network alone."""
    network, card = load_network(workplace.network)
    patches = load_patches(workplace.data)
    held_out = {source.index for source in card.held_out}
    chosen = [p for p in patches.entries if p.source.index in held_out]
    right = classes(network, [p.read() for p in chosen]) == [p.label for p in chosen]
    chosen = [p for p, is_right in zip(chosen, right, strict=True) if is_right]
    for number, change in enumerate(CHANGES):
        for level in (change.levels[0], change.levels[-1]):
            originals, changed = [p.read() for p in chosen], []
            for patch in chosen:
                seed = [settings.seed, number, int(patch.digest[:8], 16)]
                changed.append(change.apply(patch.read(), level, np.random.default_rng(seed)))
            successes = int((classes(network, changed) != [p.label for p in chosen]).sum())
            row = table[change.name, level]
            assert (row["n"], row["successes"]) == (len(chosen), successes)
            assert row["rate"] == successes / len(chosen)
            assert row["low"] <= row["rate"] <= row["high"]
            differences = [a.astype(float) - b for a, b in zip(changed, originals, strict=True)]
            assert row["l1_mad"] == pytest.approx(np.mean([np.abs(d).mean() for d in differences]))
            rmsd = np.mean([np.sqrt((d**2).mean()) for d in differences])
            assert row["l2_rmsd"] == pytest.approx(rmsd)
            assert row["linf"] == pytest.approx(np.mean([np.abs(d).max() for d in differences]))


def test_attacks_stay_within_their_budgets_and_noise_has_their_energy(
    table: dict[tuple[str, float], dict[str, float]],
) -> None:
    for change, level in ATTACKS:
        attack, noise = table[change, level], table[f"random_as_{change}", level]
        assert attack["linf" if change == "pgd_linf" else "l2_rmsd"] <= level
        assert 0.97 * attack["l2_rmsd"] <= noise["l2_rmsd"] <= attack["l2_rmsd"]
        assert attack["n"] == noise["n"]
    assert table["pgd_linf", 24.0]["successes"] > table["random_as_pgd_linf", 24.0]["successes"]


def test_stronger_changes_are_less_like_the_original(
    table: dict[tuple[str, float], dict[str, float]],
) -> None:
    for name in ("blur", "sensor_noise", "jpeg"):
        levels = [row for (change, _), row in table.items() if change == name]
        assert np.all(np.diff([row["ssim"] for row in levels]) < 0)
        assert np.all(np.diff([row["l2_rmsd"] for row in levels]) > 0)


def test_the_same_run_again_gives_the_same_bytes_and_parts_of_any_size_the_same_changes(
    workplace: Any, settings: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(settings, natural=replace(settings.natural, limit=2))

    def table(name: str) -> bytes:
        run_natural(workplace.network, workplace.data, tmp_path / name, few)
        return (tmp_path / name / "natural.csv").read_bytes()

    first = table("first")
    assert table("second") == first
    monkeypatch.setattr("ml.robustness.AT_A_TIME", 1)
    naturally = slice(1 + sum(len(change.levels) for change in CHANGES))
    assert table("in parts").splitlines()[naturally] == first.splitlines()[naturally]


def test_a_finished_run_is_read_and_not_done_again(
    workplace: Any, settings: Experiment, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    first = run_natural(workplace.network, workplace.data, folder, settings)
    again = run_natural(workplace.network, tmp_path / "gone", tmp_path / "copy", settings)
    assert again == first
    assert isinstance(again, NaturalSummary)
    other = replace(settings, seed=1)
    with pytest.raises(MlError, match="other settings"):
        run_natural(workplace.network, workplace.data, tmp_path / "copy", other)


def row(change: str, level: float, l2_rmsd: float, rate: float) -> NaturalRow:
    return NaturalRow(
        change=change,
        level=level,
        n=100,
        successes=round(100 * rate),
        rate=rate,
        low=0,
        high=1,
        l1_mad=l2_rmsd,
        l2_rmsd=l2_rmsd,
        linf=l2_rmsd,
        ssim=1,
    )


def test_an_attack_stands_beside_the_mildest_natural_levels_of_its_energy() -> None:
    rows = [
        row("jpeg", 95, 0.8, 0.0),
        row("jpeg", 80, 1.6, 0.1),
        row("jpeg", 10, 9.0, 0.5),
        row("blur", 1, 5.0, 0.3),
        row("noise", 1, 0.5, 0.9),
        row("pgd_linf", 1, 1.0, 0.7),
        row("random_as_pgd_linf", 1, 1.0, 0.02),
        row("pgd_l2", 20, 20.0, 0.7),
        row("random_as_pgd_l2", 20, 20.0, 0.4),
    ]
    linf, l2 = match(rows)
    assert [(peer.change, peer.level) for peer in linf.natural] == [("jpeg", 80), ("blur", 1)]
    assert linf.natural_rate == pytest.approx(0.2)
    assert (linf.rate, linf.random_rate) == (0.7, 0.02)
    assert (l2.natural, l2.natural_rate, l2.random_rate) == ((), None, 0.4)
    told = sentence([l2, linf])
    assert "linf 1, of RMSD 1.00" in told
    assert all(share in told for share in ("70.0%", "2.0%", "20.0%"))
    assert "natural" not in sentence([l2])


def test_the_record_says_what_was_matched_and_what_made_it(folder: Path, workplace: Any) -> None:
    record = json.loads((folder / "natural.json").read_text())
    assert {(m["change"], m["level"]) for m in record["matched"]} == set(ATTACKS)
    assert record["network_sha256"] == load_network(workplace.network)[1].file_sha256
    assert record["settings"]["linf"] == ["24"]
    assert {"seed", "data_sha256", "seconds", "provenance", "patches"} <= record.keys()


def test_the_command_tells_of_the_strongest_attack(workplace: Any, tmp_path: Path) -> None:
    toml = tmp_path / "experiment.toml"
    toml.write_text(
        '[attack]\nsteps = 5\nfinish_steps = 2\n[natural]\nlinf = ["24"]\nl2 = ["12"]\nlimit = 1\n'
    )
    out = tmp_path / "out"
    arguments = ["natural", workplace.network, toml, "--data", workplace.data, "--out", out]
    told = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(f"{out}: PGD within l")
    again = CliRunner().invoke(main, [*(str(argument) for argument in arguments), "--json"])
    outcome = json.loads(again.stdout)
    assert (outcome["path"], outcome["patches"]) == (str(out), 1)
    assert len(outcome["rows"]) == len((out / "natural.csv").read_text().splitlines()) - 1
