import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from ml.attacks.targets import choose_targets
from ml.baselines import BaselinesSummary, run_baselines
from ml.cli import main
from ml.errors import MlError
from ml.experiment import BaselinesSettings, Experiment
from ml.quantize import tensor_from_images
from ml.transfer import by_folder, misclassified

ATTACKS = ["random noise", "FGSM", "PGD", "APGD-CE", "APGD-margin", "Square"]
Table = list[dict[str, str]]


def read(file: Path) -> Table:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def small_settings(experiment: Experiment, **changes: Any) -> Experiment:
    settings = BaselinesSettings(linf=("0.5", "24"), l2=("4",), steps=6, queries=10, limit=4)
    return replace(experiment, baselines=replace(settings, **changes))


@pytest.fixture(scope="module")
def others(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The attacked network; a copy of it; and one that says it learned other data."""
    folder = tmp_path_factory.mktemp("others")
    shutil.copytree(workplace.network.parent, folder / "twin")
    shutil.copytree(workplace.network.parent, folder / "stranger")
    card = folder / "stranger" / "network.json"
    facts = json.loads(card.read_text())
    card.write_text(json.dumps({**facts, "data_sha256": "0" * 64}))
    copies = [folder / name / "network.safetensors" for name in ("twin", "stranger")]
    return [workplace.network, *copies]


@pytest.fixture(scope="module")
def run(workplace: Any, others: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    run_baselines(
        workplace.network, workplace.data, out, small_settings(workplace.experiment), others
    )
    return out


def test_each_attack_is_told_at_each_budget(run: Path) -> None:
    rows = read(run / "baselines.csv")
    assert [(r["norm"], r["epsilon"], r["attack"]) for r in rows] == [
        (norm, epsilon, attack)
        for norm, epsilon in (("linf", "0.5"), ("linf", "24"), ("l2", "4"))
        for attack in ATTACKS
    ]
    for row in rows:
        assert row["n"] == "4"
        assert float(row["rate"]) == int(row["successes"]) / 4
        assert float(row["low"]) <= float(row["rate"]) <= float(row["high"])
        below_one_grey_level = row["epsilon"] == "0.5"
        assert row["bits"] == ("float" if below_one_grey_level else "8")


def test_gradients_find_more_than_chance(run: Path) -> None:
    at_24 = {r["attack"]: int(r["successes"]) for r in read(run / "baselines.csv")[6:12]}
    assert at_24["PGD"] == 4
    assert at_24["APGD-margin"] == 4
    assert at_24["random noise"] < 4


def test_success_is_that_of_8_bit_images_within_the_budget(
    workplace: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judged = []

    def watching(network: Any, images: torch.Tensor, truths: Any) -> Any:
        judged.append((images, misclassified(network, images, truths)))
        return judged[-1][1]

    monkeypatch.setattr("ml.baselines.misclassified", watching)
    settings = small_settings(workplace.experiment, linf=("6",), l2=("1",))
    run_baselines(workplace.network, workplace.data, tmp_path, settings)
    rows = read(tmp_path / "baselines.csv")
    assert len(judged) == len(rows) == 12
    original_images = attacked_patches(workplace, settings)
    for row, (images, wrong) in zip(rows, judged, strict=True):
        assert images.dtype == torch.uint8
        assert int(row["successes"]) == int(wrong.sum())
        difference = images.double() - original_images.double()
        size = (
            difference.abs().amax(dim=(1, 2, 3))
            if row["norm"] == "linf"
            else difference.square().mean(dim=(1, 2, 3)).sqrt()
        )
        assert (size <= float(row["epsilon"]) * (1 + 1e-6)).all()
        if row["attack"] in {"random noise", "FGSM", "PGD", "APGD-margin"}:
            assert (size > 0).all()


def attacked_patches(workplace: Any, experiment: Experiment) -> torch.Tensor:
    targets = choose_targets(
        workplace.network, workplace.data, truths="both", limit=4, seed=experiment.seed
    )
    return tensor_from_images(targets.patches.images(range(len(targets.patches))))


def test_transfer_to_a_copy_is_the_attack_and_the_attacked_network_is_no_other(run: Path) -> None:
    by_pgd = {
        (r["norm"], r["epsilon"]): r["successes"]
        for r in read(run / "baselines.csv")
        if r["attack"] == "PGD"
    }
    rows = read(run / "transfer.csv")
    assert [(r["network"], r["seen"]) for r in rows] == [("twin", "no")] * 3 + [
        ("stranger", "unknown")
    ] * 3
    for row in rows:
        assert row["successes"] == by_pgd[row["norm"], row["epsilon"]]
        assert row["n"] == "4"


def test_the_sanity_checks_pass_on_a_sound_network(run: Path) -> None:
    rows = read(run / "sanity.csv")
    assert len(rows) == 12
    failed = [(r["check"], r["told"]) for r in rows if r["passed"] != "True"]
    assert failed == []
    assert json.loads((run / "baselines.json").read_text())["failed"] == []


def test_a_finished_run_is_not_repeated_and_other_settings_are_refused(
    run: Path, workplace: Any, others: list[Path]
) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in run.iterdir()}
    settings = small_settings(workplace.experiment)
    again = run_baselines(workplace.network, workplace.data, run, settings, others)
    assert isinstance(again, BaselinesSummary)
    assert again.attacked == 4
    assert {file.name: file.stat().st_mtime_ns for file in run.iterdir()} == before
    with pytest.raises(MlError, match="other settings"):
        run_baselines(
            workplace.network,
            workplace.data,
            run,
            small_settings(workplace.experiment, queries=11),
            others,
        )


def test_the_same_seed_gives_the_same_tables(
    run: Path, workplace: Any, others: list[Path], tmp_path: Path
) -> None:
    settings = small_settings(workplace.experiment)
    run_baselines(workplace.network, workplace.data, tmp_path, settings, others)
    for name in ("baselines.csv", "transfer.csv", "sanity.csv"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_networks_in_folders_of_one_name_are_refused() -> None:
    with pytest.raises(MlError, match="rename one of the folders"):
        by_folder([Path("a/fold/network.safetensors"), Path("b/fold/network.safetensors")])


def test_the_command_tells_what_came_out(workplace: Any, tmp_path: Path) -> None:
    experiment = tmp_path / "small.toml"
    experiment.write_text(
        '[baselines]\nlinf = ["16"]\nl2 = ["8"]\nsteps = 4\nqueries = 3\nlimit = 2\n'
    )
    arguments = [str(workplace.network), str(experiment), "--data", str(workplace.data)]
    done = CliRunner().invoke(
        main, ["baselines", *arguments, "--out", str(tmp_path / "out"), "--json"]
    )
    assert done.exit_code == 0, done.output
    outcome = json.loads(done.stdout)
    assert outcome["attacked"] == 2
    assert outcome["path"] == str(tmp_path / "out")
    assert len(read(tmp_path / "out" / "baselines.csv")) == 12
