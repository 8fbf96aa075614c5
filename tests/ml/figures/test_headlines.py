"""Sentences about what is rare, each from a table that says so."""

from pathlib import Path

import pytest

from ml.evaluation import wilson
from ml.figures.headlines import headlines
from ml.figures.run_folder import RunFolder


def write(folder: Path, name: str, columns: str, *rows: str) -> RunFolder:
    (folder / name).write_text("\n".join([columns, *rows]) + "\n", "utf-8")
    return RunFolder(folder)


def minimal(folder: Path, *sizes: float) -> RunFolder:
    rows = [f"case-{i},linf,{size / 2},{size}" for i, size in enumerate(sizes)]
    return write(folder, "minimal.csv", "case,norm,epsilon_float,epsilon_8bit", *rows)


def test_a_run_without_steps_has_no_sentence(tmp_path: Path) -> None:
    assert headlines(RunFolder(tmp_path)) == []


def test_where_most_images_were_never_turned_the_median_is_more_than_was_tried(
    tmp_path: Path,
) -> None:
    told = " ".join(headlines(minimal(tmp_path, 1, float("inf"), float("inf"))))
    assert "is more than was tried in the median" in told
    assert "enough for 1 of 3 (33.3 %)" in told


def test_a_perturbation_on_the_border_of_a_budget_is_within_it(tmp_path: Path) -> None:
    told = " ".join(headlines(minimal(tmp_path, 1, 1.002)))
    assert "budget of 0.5 grey levels turns 1 of 2 (50 %) images in float" in told


def natural(folder: Path, *rows: tuple[str, float, float, int]) -> RunFolder:
    lines = []
    for change, level, rmsd, successes in rows:
        low, high = wilson(successes, 20)
        share = successes / 20
        lines.append(f"{change},{level},20,{successes},{share},{low},{high},1,{rmsd},2,0.9")
    columns = "change,level,n,successes,rate,low,high,l1_mad,l2_rmsd,linf,ssim"
    return write(folder, "natural.csv", columns, *lines)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("jpeg", 30.0, 4.0, 6), "the most harmful (JPEG 30, RMS difference 4) 30 %"),
        (("jpeg", 30.0, 4.0, 0), "each at its mildest such level, turn none"),
        (("jpeg", 90.0, 0.5, 6), "no natural change that was tried has so much energy"),
    ],
)
def test_natural_changes_count_from_the_attacks_energy_on(
    change: tuple[str, float, float, int], told: str, tmp_path: Path
) -> None:
    attack = ("pgd_linf", 2.0, 1.5, 18), ("random_as_pgd_linf", 2.0, 1.5, 1)
    (sentence,) = headlines(natural(tmp_path, *attack, change))
    assert sentence.startswith("PGD L∞ within 2 grey levels (RMS difference 1.5) turns 90 %")
    assert "random noise as strong 5 %" in sentence
    assert told in sentence


def universal(folder: Path, *rows: tuple[int, int]) -> RunFolder:
    """(epsilon, successes of 100 test images); of the training images one more."""
    lines = [
        f"{epsilon},{split},100,{count},{count / 100},0,1,run-1-fold-1"
        for epsilon, successes in rows
        for split, count in (("train", successes + 1), ("test", successes))
    ]
    columns = "epsilon,split,n,successes,rate,low,high,network"
    return write(folder, "universal.csv", columns, *lines)


def test_the_universal_perturbation_is_told_where_it_first_does_what_the_papers_did(
    tmp_path: Path,
) -> None:
    (sentence,) = headlines(universal(tmp_path, (2, 40), (4, 86), (8, 99)))
    assert "within L∞ 4 grey levels, turns 86 of 100 (86 %)" in sentence
    assert "87 of 100 (87 %) of those that it was made for" in sentence
    assert sentence.endswith("within 2 grey levels, 40 of 100 (40 %) of the test images.")


def test_a_weaker_universal_perturbation_is_told_at_its_largest_budget(tmp_path: Path) -> None:
    (sentence,) = headlines(universal(tmp_path, (2, 10), (4, 30)))
    assert "within L∞ 4 grey levels, turns 30 of 100" in sentence


def test_without_a_network_that_is_always_fooled_the_defence_is_told_where_most_are(
    tmp_path: Path,
) -> None:
    columns = (
        "method,norm,epsilon,n,successes,rate,low,high,bits,clean_accuracy,clean_auc,"
        "robust_accuracy"
    )
    rows = [
        f"{method},linf,{epsilon},10,{successes},{successes / 10},0,1,8,{clean},0.9,0.5"
        for method, clean, counts in (("standard", 0.9, (3, 6)), ("pgd", 0.8, (1, 2)))
        for epsilon, successes in zip((1, 2), counts, strict=True)
    ]
    (sentence,) = headlines(write(tmp_path, "defence.csv", columns, *rows))
    assert "Within L∞ 2 grey levels the attack turns 60 %" in sentence
    assert "PGD adversarial training takes it to 20 %, with an accuracy of 80 %" in sentence
