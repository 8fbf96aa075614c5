"""An adversary against the blinding: what do bytes, times, addresses, pages and order tell?

Readers read a study of generated tissue in a real Chromium, by keyboard. Everything that developer
tools show is kept, and a classifier is asked for the arm, the truth, and which presentations are of
one case. It must do no better than chance. Then every leak that can be put back is put back, one at
a time, by a patch of this process: the adversary must find it, or it proves nothing.

    python benchmarks/blinding_adversary.py --json --presentations 2000
"""

import json
import os
import runpy
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

# The tables are small, and the machine may be shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import click
import numpy as np

from app import ROOT
from app.provenance import code
from app.vocabulary import PairTask
from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.chromium_readers import in_chromium
from benchmarks.blinding.judgement import Judge, Judgement
from benchmarks.blinding.mutants import all_mutants
from benchmarks.blinding.run import observed, plainly
from benchmarks.blinding.study import Prepared, WriteBatch, prepare
from ml.data import load_patches
from ml.phantom import write_phantom

CASES = 20
SHOWN_EACH = 80  # 20 cases, two arms, two sets
WHOLE: dict[str, Any] = {
    "practice": 2,
    "feedback": True,
    "masking": True,
    "pair_task": PairTask.CHOICE,
}


def note(text: str) -> None:
    click.echo(text, err=True)


def tissue(folder: Path) -> list[Any]:
    """Generated patches, without and with tumour in turn, as the truths of `prepare` are.

    No value is so near to black or white that a perturbation would run over.
    """
    write_phantom(folder, patches_per_fold=64, folds=1, size=128, seed=7)
    patches = load_patches(folder)
    of = {
        truth: [
            np.clip(patches.image(i), 8, 247)
            for i, label in enumerate(patches.labels)
            if label == truth
        ]
        for truth in (0, 1)
    }
    return [image for pair in zip(of[0], of[1], strict=False) for image in pair]


class Studies:
    """Prepared once, read often: the whole one has practice, masking and pairs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write_batch: WriteBatch = runpy.run_path(str(ROOT / "tests/conftest.py"))[
            "write_batch"
        ]

    def of(self, name: str, **design: Any) -> Prepared:
        return prepare(self.folder / name, self.write_batch, **design)

    def prepare_for_mutants(self) -> None:
        """Few presentations: a list of what is allowed needs one, a classifier some more."""
        self.plain = self.of("plain", cases=4, readers=6)
        self.large = self.of("large", cases=8, readers=10)
        self.whole = self.of("whole", cases=6, readers=8, **WHOLE)

    def reason(self, mutant: Mutant, seed: int, confidence: float, *, thorough: bool) -> str:
        is_large = thorough or mutant.is_subtle
        prepared = self.whole if mutant.is_whole else self.large if is_large else self.plain
        reads = in_chromium() if mutant.script else plainly
        visits, key = observed(prepared, mutant, reads)
        return Judge(prepared.design, seed, confidence).reason(visits, key, thorough=thorough)


def without_leak(
    studies: Studies, images: list[Any], presentations: int, seed: int, confidence: float
) -> Judgement:
    readers = -(-presentations // SHOWN_EACH)
    prepared = studies.of("main", cases=CASES, readers=readers, images=images)
    shown = 0

    def count(more: int) -> None:
        nonlocal shown
        shown += more
        if shown % 200 == 0:
            note(f"{shown} of {readers * SHOWN_EACH} presentations")

    visits, key = observed(prepared, None, in_chromium(progress=count))
    return Judge(prepared.design, seed, confidence).judged(visits, key)


def described(judgement: Judgement) -> dict[str, Any]:
    return {
        "auc_arm": asdict(judgement.arm),
        "auc_truth": asdict(judgement.truth),
        "auc_link": asdict(judgement.link),
        "auc_copies": asdict(judgement.copies),
        "problems": judgement.problems,
        "presentations": judgement.presentations,
    }


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--presentations", default=2000, show_default=True, help="At least so many.")
@click.option("--mutants", "only", multiple=True, help="Only these, by name.  [default: all]")
@click.option("--skip-mutants", is_flag=True)
@click.option("--skip-main", is_flag=True, help="Only mutants.")
@click.option("--thorough", is_flag=True, help="Ask the classifier about every mutant.")
@click.option("--seed", default=0, show_default=True, help="Of the adversary.")
@click.option("--confidence", default=0.99, show_default=True, help="Of each interval.")
@click.option("--json", "as_json", is_flag=True)
def main(
    presentations: int,
    only: tuple[str, ...],
    skip_mutants: bool,
    skip_main: bool,
    thorough: bool,
    seed: int,
    confidence: float,
    as_json: bool,
) -> None:
    began = time.monotonic()
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="plainsight-adversary-") as folder:
        studies = Studies(Path(folder))
        if not skip_main:
            images = tissue(Path(folder) / "tissue")
            judgement = without_leak(studies, images, presentations, seed, confidence)
            facts |= described(judgement)
            facts["readers"] = judgement.presentations // SHOWN_EACH
            tell(judgement)
        if not skip_mutants:
            facts |= hunted(studies, only, seed, confidence, thorough=thorough)
    facts |= {
        "seed": seed,
        "confidence": confidence,
        "interval": "Student's over readers; readers are told from earlier readers only",
        "code": code(),
        "seconds": round(time.monotonic() - began, 1),
    }
    click.echo(json.dumps(facts, indent=2) if as_json else summary(facts))


def tell(judgement: Judgement) -> None:
    note(f"arm {judgement.arm}, truth {judgement.truth}, link {judgement.link}")
    note(f"two copies of one image {judgement.copies}")
    for problem in judgement.problems:
        note(f"not as allowed: {problem}")


def hunted(
    studies: Studies, only: tuple[str, ...], seed: int, confidence: float, *, thorough: bool
) -> dict[str, Any]:
    """Every leak put back, and whether it was found."""
    chosen = [mutant for mutant in all_mutants() if not only or mutant.name in only]
    studies.prepare_for_mutants()
    reasons: dict[str, str] = {}
    missed: list[str] = []
    alarms = [] if only else false_alarms(studies, seed, confidence)
    for number, mutant in enumerate(chosen, start=1):
        reason = studies.reason(mutant, seed, confidence, thorough=thorough)
        reasons[mutant.name] = reason
        if not reason:
            missed.append(mutant.name)
        note(f"{number} of {len(chosen)}: {mutant.name}: {reason or 'NOT CAUGHT'}")
    return {
        "mutants": len(chosen),
        "caught": len(chosen) - len(missed),
        "not_caught": missed,
        "false_alarms": alarms,
        "reasons": reasons,
    }


def false_alarms(studies: Studies, seed: int, confidence: float) -> list[str]:
    """What is found in the same studies where nothing was put back."""
    found = []
    for control in (
        Mutant("nothing put back", ()),
        Mutant("nothing put back, more presentations", (), is_subtle=True),
        Mutant("nothing put back, whole study", (), is_whole=True),
        Mutant("nothing put back, in Chromium", (), script=" "),
    ):
        reason = studies.reason(control, seed, confidence, thorough=False)
        note(f"{control.name}: {reason or 'nothing found'}")
        found += [f"{control.name}: {reason}"] if reason else []
    return found


def summary(facts: dict[str, Any]) -> str:
    lines = [
        "{}: {value:.3f} ({low:.3f} to {high:.3f})".format(name, **facts[name])
        for name in ("auc_arm", "auc_truth", "auc_link", "auc_copies")
        if name in facts
    ]
    if "presentations" in facts:
        lines += [f"not as allowed: {problem}" for problem in facts["problems"]]
        lines.append(f"{facts['presentations']} presentations to {facts['readers']} readers")
    if "mutants" in facts:
        lines.append(f"{facts['caught']} of {facts['mutants']} leaks caught")
        lines += [f"not caught: {name}" for name in facts["not_caught"]]
        lines += [f"false alarm: {alarm}" for alarm in facts["false_alarms"]]
    return "\n".join([*lines, f"{facts['seconds']} s"])


if __name__ == "__main__":
    main()
