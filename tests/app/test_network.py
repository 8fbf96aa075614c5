"""A study of a batch with evidence: what fools the network stands beside what readers see, alike on
the page, in the export and by `plainsight analyse`."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import aliased

from app.analysis.analyse import analyse
from app.analysis.exported import Attack, NetworkEpsilon, Pair, Plan, Tidy
from app.analysis.sections.rows import Options
from app.cli_analyse import analyse_command
from app.storage.models import Condition, Presentation, Stimulus
from app.storage.session import Database
from app.vocabulary import PairTask, Part

Office = Callable[..., TestClient]


@pytest.fixture
def studied(
    ready: Callable[..., Any],
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    enter: Callable[[TestClient], dict[str, Any]],
    read: Callable[..., int],
    database: Database,
) -> Callable[..., int]:
    """`studied(**design)`: a demo whose one reader calls all tumour but one image, and sees which
    of a pair is altered by 4 or 6 grey levels, but not by 2."""

    def conduct(**design: Any) -> int:
        made = ready(cases=6, conditions=3, is_demo=True, pair_task=PairTask.CHOICE, **design)
        reader = browser()
        begin(reader, made.links[0])
        answers = iter(["non_tumour"])
        read(reader, lambda _token: next(answers, "tumour"))
        reader.post("/reading/questions", data={"saw_repeats": "no", "odd": ""})
        reader.post("/reading/pairs")
        enter(reader)
        read(reader, sides(database).__getitem__)
        study: int = made.study
        return study

    return conduct


def sides(database: Database) -> dict[str, str]:
    """What the reader says of each pair, by its token."""
    left, right = aliased(Stimulus), aliased(Stimulus)
    with database.reading() as session:
        rows = session.execute(
            select(Presentation.token, left.condition_id, right.condition_id)
            .join(left, left.id == Presentation.stimulus_id)
            .join(right, right.id == Presentation.beside_id)
            .where(Presentation.part == Part.PAIRS)
            .order_by(Presentation.position)
        ).all()
        unseen = session.scalars(select(Condition.id).where(Condition.name == "linf-2")).one()
    said = {}
    for place, (token, one, other) in enumerate(rows):
        true, wrong = ("left", "right") if one else ("right", "left")
        guessed = (one or other) == unseen and place % 2
        said[token] = wrong if guessed else true
    return said


@pytest.fixture
def exported(office: Office, tmp_path: Path) -> Callable[[int], Path]:
    def export(study: int) -> Path:
        folder = tmp_path / f"export-{study}"
        content = office().get(f"/studies/{study}/export.zip").content
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
        return folder

    return export


def analysed(folder: Path, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(analyse_command, [str(folder), "--json", *options])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def test_the_page_and_the_command_hold_readers_against_the_same_network(
    studied: Callable[..., int], exported: Callable[[int], Path], office: Office
) -> None:
    study = studied(evidence=True)
    folder = exported(study)
    found = analysed(folder)
    here = office().get(f"/studies/{study}/analysis.json").json()
    assert {**here, "inputs": None} == {**found, "inputs": None}

    [function] = found["detection"]["psychometric"]
    assert function["norm"] == "linf"
    assert function["network"]["source"] == "network.csv"
    assert function["network"]["median_epsilon"]["estimate"] == 2, "of 1, 1, 2, 4 and none"
    assert function["network"]["curve"] == [
        {"epsilon": 1, "network_fooled": 0.4},
        {"epsilon": 2, "network_fooled": 0.6},
        {"epsilon": 4, "network_fooled": 0.8},
    ]
    margin, threshold = function["perceptibility_margin"], function["threshold"]["estimate"]
    assert margin["estimate"] == threshold / 2
    assert found["options"]["network_norm"] == "l2, linf"
    assert "network.csv" in {each["file"] for each in here["inputs"]}


def test_the_export_carries_the_evidence(
    studied: Callable[..., int], exported: Callable[[int], Path]
) -> None:
    folder = exported(studied(evidence=True))
    with (folder / "network.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    linf = [row["epsilon_8bit"] for row in rows if row["norm"] == "linf"]
    assert [float(value) for value in linf] == [1, 1, 2, 4, float("inf")]
    evidence = json.loads((folder / "study.json").read_text())["batch"]["evidence"]
    assert evidence["cross_validation"]["accuracy"]["mean"] == 0.94
    assert {"curves", "natural", "calibration", "provenance"} <= set(evidence)
    assert not {"minimal", "saliency"} & set(evidence)


def test_what_is_given_to_the_command_comes_before_the_batch(
    studied: Callable[..., int], exported: Callable[[int], Path]
) -> None:
    folder = exported(studied(evidence=True))
    [function] = analysed(folder, "--network-epsilon", "0.5")["detection"]["psychometric"]

    threshold = function["threshold"]["estimate"]
    assert function["perceptibility_margin"]["estimate"] == threshold / 0.5


def test_without_evidence_no_margin_is_told(
    studied: Callable[..., int], exported: Callable[[int], Path], office: Office
) -> None:
    study = studied()
    [function] = analysed(exported(study))["detection"]["psychometric"]

    assert function["perceptibility_margin"]["estimate"] is None
    assert "were not given" in function["perceptibility_margin"]["reason"]
    assert 'id="network"' not in office().get(f"/studies/{study}/results").text


def test_the_results_and_the_report_have_a_section_of_the_network(
    studied: Callable[..., int], office: Office
) -> None:
    study = studied(evidence=True)
    desk = office()
    for page in ("results", "report"):
        shown = desk.get(f"/studies/{study}/{page}").text
        assert 'id="network"' in shown
        assert "AUC 0.970 (SD 0.010)" in shown
        assert 'id="network-linf-title"' in shown, "the success curve is drawn"
    chart = desk.get(f"/studies/{study}/charts/network-l2.csv").text
    assert chart.splitlines()[-1].startswith("l2,8,4.0,5,5,1.0")
    assert desk.get(f"/studies/{study}/report.pdf").content.startswith(b"%PDF-")


def test_flipped_images_come_with_where_the_network_looks(
    studied: Callable[..., int], office: Office
) -> None:
    study = studied(evidence=True)
    desk = office()
    page = desk.get(f"/studies/{study}/results").text
    maps = re.findall(r'src="(/batches/\d+/saliency/\d+)"', page)

    assert len(maps) >= 2
    assert all(desk.get(path).headers["content-type"] == "image/png" for path in maps)


# The margin by hand.


def choices(norm: str, right_of: dict[int, int], cases: int = 40) -> list[Pair]:
    """Of each epsilon so many of the cases' pairs are told right."""
    return [
        Pair("R1", case, f"t{case}", "choice", None, f"{norm}-{epsilon}", False, side, case < right)
        for epsilon, right in right_of.items()
        for case in range(cases)
        for side in ["right" if case < right else "left"]
    ]


def functions(network: tuple[NetworkEpsilon, ...]) -> dict[str, dict[str, Any]]:
    """By norm: linf from 1 to 8 and l2 from 2 to 16, twice as large, told alike."""
    answers = (20, 24, 32, 39)
    pairs = [
        pair
        for norm, first in (("linf", 1), ("l2", 2))
        for pair in choices(norm, {first * 2**n: k for n, k in enumerate(answers)})
    ]
    attacks = {
        f"{norm}-{first * 2**n}": Attack(f"{norm}-{first * 2**n}", "pgd", norm, first * 2.0**n)
        for norm, first in (("linf", 1), ("l2", 2))
        for n in range(4)
    }
    tidy = Tidy([], pairs, None, attacks, Plan(), [])
    found = analyse(tidy, Options(network=network), {})
    return {each["norm"]: each for each in found["detection"]["psychometric"]}


def test_each_norm_meets_the_network_of_its_norm() -> None:
    found = functions(
        (
            NetworkEpsilon("network.csv", (1.0, 1.0, 1.0, 1.0), "linf"),
            NetworkEpsilon("network.csv", (0.25, 0.25, 0.25), "l2"),
        )
    )

    for norm, median in (("linf", 1.0), ("l2", 0.25)):
        threshold = found[norm]["threshold_over_cases"]
        margin = found[norm]["perceptibility_margin"]
        for end in ("estimate", "low", "high"):
            # All patches alike: the network's median is known, and readers alone are uncertain.
            assert margin[end] == pytest.approx(threshold[end] / median, rel=1e-12)
    ratio = found["l2"]["threshold"]["estimate"] / found["linf"]["threshold"]["estimate"]
    assert ratio == pytest.approx(2, rel=1e-3), "the same answers at epsilons twice as large"


def test_the_margin_is_wider_where_the_networks_patches_differ() -> None:
    """Its limits are those of thresholds and medians resampled side by side."""
    values = (0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 4.0, float("inf"))
    network = NetworkEpsilon("network.csv", values, "linf")
    found = functions((network,))["linf"]
    alike = functions((NetworkEpsilon("x", (1.0, 1.0), "linf"),))["linf"]
    margin, narrow = found["perceptibility_margin"], alike["perceptibility_margin"]

    assert found["network"]["median_epsilon"]["estimate"] == 1.0
    assert margin["estimate"] == found["threshold"]["estimate"]
    assert margin["low"] < narrow["low"] < margin["estimate"] < narrow["high"] < margin["high"]
    drawn = np.random.default_rng(Options().seed + 2).choice(values, (300, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    assert margin["low"] >= narrow["low"] / high
    assert margin["high"] <= narrow["high"] / low


def test_a_network_that_less_than_half_of_its_patches_fool_has_no_margin() -> None:
    values = (1.0, float("inf"), float("inf"))
    found = functions((NetworkEpsilon("network.csv", values, "linf"),))

    assert "Fewer than half" in found["linf"]["perceptibility_margin"]["reason"]
    assert "in this norm" in found["l2"]["perceptibility_margin"]["reason"]
