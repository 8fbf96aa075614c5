"""Tables of a run as a page shows them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from ml.figures import style
from ml.figures.rows import Perceptibility
from ml.figures.run_folder import in_order

LONGEST = 200
"""Lines of a table on the page; the rest is in its file."""


@dataclass(frozen=True)
class Sheet:
    """`rows` are the first of `total`; `numeric` says of each column whether it holds numbers."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    total: int


def read_sheet(path: Path) -> Sheet | None:
    """None where there is no such table; floats are told with four digits."""
    if path.suffix != ".csv" or not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as stream:
        header, *lines = list(csv.reader(stream)) or [[]]
    return sheet(path.name, header, lines)


def sheet(
    name: str,
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    as_told: bool = False,
) -> Sheet:
    """`as_told`: no number is shortened."""
    numeric = tuple(
        bool(lines) and all(_is_number(line[i]) for line in lines if line[i])
        for i in range(len(header))
    )
    shorten = str if as_told else _short
    rows = tuple(tuple(shorten(cell) for cell in line) for line in lines[:LONGEST])
    return Sheet(name, tuple(header), rows, numeric, len(lines))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _short(cell: str) -> str:
    if not _is_number(cell) or cell.lstrip("-").isdigit():
        return cell
    return f"{float(cell):.4g}"


def perceptibility_sheet(rows: Sequence[Perceptibility]) -> Sheet | None:
    """A line a norm: means over its images, the median epsilon, the largest colour difference."""
    header = ("norm", "images", "median epsilon", "SSIM", "PSNR (dB)", "mean ΔE₀₀", "largest ΔE₀₀")
    lines = []
    for norm in in_order([row.norm for row in rows]):
        group = [row for row in rows if row.norm == norm]
        epsilon = median(row.epsilon for row in group)
        lpips = [row.lpips for row in group if row.lpips is not None]
        lines.append(
            [
                f"{style.norm_name(norm)}, {style.norm_unit(norm)}".replace("\n", " "),
                str(len(group)),
                style.plain(epsilon, as_share=norm == "l0"),
                f"{fmean(row.ssim for row in group):.5f}",
                f"{fmean(row.psnr_db for row in group):.1f}",
                f"{fmean(row.ciede2000_mean for row in group):.3f}",
                f"{max(row.ciede2000_max for row in group):.2f}",
                f"{fmean(lpips):.4f}" if lpips else "no weights",
            ]
        )
    return sheet("perceptibility.csv", [*header, "LPIPS"], lines, as_told=True) if lines else None
