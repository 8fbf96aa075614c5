"""What the evidence of a batch says, in words and tables: for its page and beside the results."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from app.batches.evidence import BOUNDED

Json = Mapping[str, Any]
NORMS = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "Linf", "none": "no budget"}
SIZES = "L0 in share of pixels, L1, L2 and Linf in grey levels"
ATTACKS = {"pgd_": "attack", "random_as_pgd_": "noise as strong as the attack"}
CHANGES = {"jpeg": "JPEG"}


@dataclass(frozen=True)
class Table:
    """The first cell of each row names it."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_text: bool = False


@dataclass(frozen=True)
class EvidenceView:
    """`smallest` and `by_change` are the summary; the long ones say all that the batch brought."""

    sentences: Sequence[str]
    has_maps: bool
    smallest: Table
    by_change: Table
    curves: Table
    natural: Table
    calibration: Table
    made: str


def evidence_view(evidence: Json) -> EvidenceView:
    return EvidenceView(
        sentences=[*cross_validated(evidence.get("cross_validation")), *explained(evidence)],
        has_maps=bool(evidence.get("saliency")),
        smallest=smallest_table(evidence),
        by_change=by_change_table(evidence),
        curves=curves_table(evidence),
        natural=natural_table(evidence),
        calibration=calibration_table(evidence),
        made=made(evidence["provenance"]),
    )


def cross_validated(found: Json | None) -> Iterator[str]:
    if found is not None:
        yield (
            f"Cross-validated in {found['folds']} folds of {found['patches']} patches, "
            f"{found['positives']} with tumour: AUC {spread(found['auc'])}, accuracy "
            f"{spread(found['accuracy'])}, expected calibration error "
            f"{spread(found['calibration_error'])}."
        )


def explained(evidence: Json) -> Iterator[str]:
    if evidence.get("saliency"):
        method = str(evidence["saliency_method"]).replace("_", " ")
        yield f"A map of where the network looks, by {method}, comes with each image."


def spread(found: Json) -> str:
    """Such as 0.970 (SD 0.010)."""
    return f"{found['mean']:.3f}" + ("" if found["sd"] is None else f" (SD {found['sd']:.3f})")


def smallest_table(evidence: Json) -> Table:
    by_norm: dict[str, list[float]] = {}
    for row in evidence.get("minimal", ()):
        size = row["epsilon_8bit"]
        by_norm.setdefault(row["norm"], []).append(math.inf if size is None else size)
    rows = [
        (
            NORMS[norm],
            str(len(sizes)),
            str(sum(map(math.isfinite, sizes))),
            *(epsilon_text(size) for size in middle(sizes)),
        )
        for norm in NORMS
        if (sizes := by_norm.get(norm))
    ]
    return Table(
        f"Smallest perturbation of each patch that fools the network in 8 bits; {SIZES}",
        ("Norm", "Patches", "Fooled", "Lower quartile", "Median", "Upper quartile"),
        rows,
    )


def middle(sizes: Sequence[float]) -> list[float]:
    """Quartiles; a patch that nothing fooled lies above all."""
    if len(sizes) == 1:
        return 3 * [sizes[0]]
    finite = [size for size in sizes if math.isfinite(size)]
    beyond = 1e12
    found = quantiles(finite + (len(sizes) - len(finite)) * [beyond], method="inclusive")
    return [math.inf if size > max(finite, default=0.0) else size for size in found]


def epsilon_text(size: float) -> str:
    return f"{size:.3g}" if math.isfinite(size) else "none found"


def in_8_bits(evidence: Json) -> list[Json]:
    """The points of the success curves that readers' images are held against."""
    return [
        point
        for point in evidence.get("curves", ())
        if (point["method"], point["bits"]) == ("minimal", "8")
    ]


def curves_table(evidence: Json) -> Table:
    return Table(
        "Success against epsilon, in 8 bits, with 95 % intervals; no budget is told by its L2",
        ("Norm", "Epsilon", "Patches", "Fooled", "Share"),
        [
            (NORMS[each["norm"]], f"{each['epsilon']:g}", *counted(each))
            for norm in (*BOUNDED, "none")
            for each in in_8_bits(evidence)
            if each["norm"] == norm
        ],
    )


def counted(each: Json) -> tuple[str, str, str]:
    low, high = (f"{100 * each[end]:.0f}" for end in ("low", "high"))
    share = f"{100 * each['rate']:.0f} % ({low} to {high})"
    return str(each["n"]), str(each["successes"]), share


def natural_table(evidence: Json) -> Table:
    return Table(
        "Classes changed by what happens without intention, and by attacks, with 95 % intervals; "
        "sizes are means in grey levels",
        ("Change", "Level", "Patches", "Changed", "Share", "L2", "Linf", "SSIM"),
        [
            (
                change_name(each["change"]),
                f"{each['level']:g}",
                *counted(each),
                f"{each['l2_rmsd']:.2f}",
                f"{each['linf']:.0f}",
                f"{each['ssim']:.3f}",
            )
            for each in evidence.get("natural", ())
        ],
    )


def by_change_table(evidence: Json) -> Table:
    """One row a change, its levels in the order of the run: from mild to strong."""
    by_change: dict[str, list[Json]] = {}
    for each in evidence.get("natural", ()):
        by_change.setdefault(each["change"], []).append(each)
    patches = max((each["n"] for each in evidence.get("natural", ())), default=0)
    return Table(
        "Classes changed by what happens without intention, and by attacks, from mild to strong; "
        f"of {patches} patches",
        ("Change", "Levels", "Classes changed", "L2 in grey levels"),
        [
            (
                change_name(change),
                ", ".join(f"{each['level']:g}" for each in levels),
                ", ".join(f"{100 * each['rate']:.0f} %" for each in levels),
                f"{levels[0]['l2_rmsd']:.2f} to {levels[-1]['l2_rmsd']:.2f}",
            )
            for change, levels in by_change.items()
        ],
    )


def change_name(name: str) -> str:
    for prefix, words in sorted(ATTACKS.items(), reverse=True):
        if name.startswith(prefix):
            norm = name.removeprefix(prefix)
            return f"{words}, {NORMS.get(norm, norm)}"
    return CHANGES.get(name, name.replace("_", " "))


def calibration_table(evidence: Json) -> Table:
    return Table(
        "Calibration over all folds: tumours among the patches of which the network says so much",
        ("P(tumour)", "Patches", "Mean", "Tumours"),
        [
            (
                f"{each['low']:.1f} to {each['high']:.1f}",
                str(each["n"]),
                "" if each["mean_p"] is None else f"{each['mean_p']:.3f}",
                "" if each["share_positive"] is None else f"{100 * each['share_positive']:.0f} %",
            )
            for each in evidence.get("calibration", ())
        ],
    )


def made(provenance: Json) -> str:
    """When, with which seed and by which code the steps of the run were done, as far as told."""
    steps = {name: step for name, step in provenance.items() if isinstance(step, dict)}
    return "; ".join(
        f"{name}: {', '.join(told)}" for name, step in steps.items() if (told := facts_of(step))
    )


def facts_of(step: Json) -> list[str]:
    by = step.get("provenance")
    code = by.get("code") if isinstance(by, dict) else None
    code = code if isinstance(code, dict) else {}
    found = [
        str(step["created_at"]) if step.get("created_at") else "",
        f"seed {step['seed']}" if step.get("seed") is not None else "",
        f"plainsight {code['version']}" if code.get("version") else "",
        f"commit {str(code['commit'])[:12]}" if code.get("commit") else "",
    ]
    return [text for text in found if text]
