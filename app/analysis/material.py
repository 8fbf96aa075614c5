"""The rows of images.csv, attacks.csv and network.csv: what was shown, apart from who saw it."""

import math
from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.analysis.values import SCHEMA_VERSION, Values
from app.storage.models import Case, Condition, Stimulus, Study
from app.vocabulary import Part

COUNTED = (Part.READING, Part.PAIRS)
GREY_LEVELS = 255


def shown_cases(study: Study) -> dict[Case, Part]:
    """The cases of all parts but practice, in their order, with the first part that shows them."""
    found: dict[Case, Part] = {}
    for part in COUNTED:
        for stimulus in study.stimuli_of(part):
            found.setdefault(stimulus.case, part)
    return dict(sorted(found.items(), key=lambda each: each[0].id))


def case_numbers(study: Study) -> dict[int, int]:
    """The case's id to its number from 1: iMRMC wants whole numbers."""
    return {case.id: number for number, case in enumerate(shown_cases(study), start=1)}


def original_of(case: Case) -> Stimulus:
    return next(stimulus for stimulus in case.stimuli if stimulus.condition_id is None)


def image_rows(_session: Session, study: Study) -> Iterator[Values]:
    for number, (case, part) in enumerate(shown_cases(study).items(), start=1):
        original = original_of(case)
        yield {
            **of_study(study),
            "image_id": case.name,
            "case_number": number,
            "truth": case.truth,
            "dataset": case.data_set,
            "fold": case.fold,
            "index_in_fold": case.index_in_fold,
            "mpp_um": case.micrometres_per_pixel or None,
            "width_px": original.width,
            "height_px": original.height,
            "stimulus_id": original.id,
            "sha256": original.delivered_sha256,
            "pixels_sha256": original.sha256,
            "p_tumour": original.p_positive,
            "part": part,
        }


def attack_rows(_session: Session, study: Study) -> Iterator[Values]:
    shown = {each.id: each for part in COUNTED for each in study.stimuli_of(part)}
    for _, stimulus in sorted(shown.items()):
        if stimulus.condition is not None:
            yield {
                **of_study(study),
                "stimulus_id": stimulus.id,
                "image_id": stimulus.case.name,
                **attack_values(stimulus.condition),
                **measured_values(stimulus),
                **network_values(study, stimulus),
                "sha256": stimulus.delivered_sha256,
            }


def smallest_rows(_session: Session, study: Study) -> Iterator[Values]:
    """What fools the network, from the evidence of the batch; none where it brought none."""
    for row in (study.batch.evidence or {}).get("minimal", ()):
        yield {
            **of_study(study),
            "patch": row["case"],
            "truth": row["truth"],
            "norm": row["norm"],
            **{
                name: "inf" if row[name] is None else row[name]
                for name in ("epsilon_float", "epsilon_8bit")
            },
        }


def of_study(study: Study) -> Values:
    return {"schema_version": SCHEMA_VERSION, "study_id": study.id}


def attack_values(condition: Condition) -> Values:
    return {
        "attack_id": condition.name,
        "family": condition.attack,
        "norm": condition.norm,
        "epsilon": condition.epsilon,
        "steps": condition.steps,
        "step_size": condition.step_size,
        "seed": condition.seed,
    }


def measured_values(stimulus: Stimulus) -> Values:
    rmsd = stimulus.l2_rmsd
    return {
        "linf": stimulus.linf,
        "l2_rmsd": rmsd,
        "l1_mad": stimulus.l1_mad,
        "l0_fraction": stimulus.l0_fraction,
        "ssim": stimulus.ssim,
        "psnr_db": round(20 * math.log10(GREY_LEVELS / rmsd), 4) if rmsd else None,
        "quantised_to_uint8": 1,
    }


def network_values(study: Study, stimulus: Stimulus) -> Values:
    network = study.batch.network
    before, after = original_of(stimulus.case).p_positive, stimulus.p_positive
    return {
        "model_id": network.get("architecture"),
        "model_sha256": network.get("file_sha256"),
        "p_tumour_before": before,
        "p_tumour_after": after,
        "label_before": tumour(before),
        "label_after": tumour(after),
        "success_after_quantisation": None if stimulus.success is None else int(stimulus.success),
    }


def tumour(probability: float | None) -> int | None:
    return None if probability is None else int(probability >= 0.5)
