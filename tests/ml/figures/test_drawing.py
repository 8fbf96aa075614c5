"""Every figure of a run, as files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from ml.errors import MlError
from ml.figures.catalogue import PLANS
from ml.figures.drawing import draw_figures
from ml.figures.run_folder import RunFolder

NAMES = [plan.name for plan in PLANS]
TEXTS = {
    "table1a": {"Accuracy", "AUC-ROC", "each fold"},
    "roc": {"false-positive rate", "true-positive rate", "6 folds"},
    "calibration": {"share with tumour", "patches"},
    "fig1-examples": {"original", "tumour, 98.0 %", "no tumour, 96.0 %"},
    "fig2a-embedding": {"UMAP 1", "true positives (12)", "start", "end"},
    "fig2b-landscape": {"loss", "epoch 0", "epoch 3"},
    "fig3-saliency": {"perturbation \u00d7 10", "gradient, before", "gradient, after"},
    "saliency-shares": {"integrated gradients", "Grad-CAM", "mean of 10"},
    "fig4-curves": {"L₀", "L₁", "L₂", "L∞", "success rate", "8 bits allow no change"},
    "minimal": {"images", "1 of 24 not found"},
    "fig5-universal": {"train images", "test images", "the perturbation \u00d7 10"},
    "natural": {"JPEG", "PGD L∞", "energy of the change: RMS difference (grey levels)"},
    "baselines": {"random noise", "APGD-CE", "budget in grey levels"},
    "transfer": {"L∞ 2", '<b>colon & "co"</b>'},
    "defence": {"standard training", "adversarial training for free"},
}


def texts_of(svg: Path) -> set[str]:
    root = ElementTree.parse(svg).getroot()  # noqa: S314 - our own file
    elements = root.iter("{http://www.w3.org/2000/svg}text")
    return {"".join(element.itertext()).strip() for element in elements}


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_an_svg_with_its_words_as_text_beside_a_png(name: str, drawn_run: Path) -> None:
    figures = drawn_run / "figures"
    assert TEXTS[name] <= texts_of(figures / f"{name}.svg")
    with Image.open(figures / f"{name}.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert image.width >= 600
    assert pixels.min() < 128 < pixels.max()


def test_the_same_run_gives_the_same_bytes_twice(
    drawn_run: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    again = make_run(tmp_path / "again", name='<b>colon & "co"</b>')
    drawn = draw_figures(RunFolder(again))
    assert list(drawn) == NAMES
    files = sorted(path.name for path in (again / "figures").iterdir())
    assert files == sorted(f"{name}.{kind}" for name in NAMES for kind in ("png", "svg"))
    for name in files:
        first = (drawn_run / "figures" / name).read_bytes()
        assert (again / "figures" / name).read_bytes() == first, name


def test_drawing_leaves_matplotlibs_settings_as_they_were(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    for path in run.iterdir():
        if path.name != "table1a.csv":
            path.unlink()
    before = dict(mpl.rcParams)
    assert list(draw_figures(RunFolder(run))) == ["table1a"]
    assert dict(mpl.rcParams) == before


def test_a_step_that_is_there_no_more_leaves_no_old_figure(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    for path in run.iterdir():
        if path.name not in {"table1a.csv", "transfer.csv"}:
            path.unlink()
    assert set(draw_figures(RunFolder(run))) == {"table1a", "transfer"}
    (run / "transfer.csv").unlink()
    assert set(draw_figures(RunFolder(run))) == {"table1a"}
    assert {path.stem for path in (run / "figures").iterdir()} == {"table1a"}


def test_tables_without_rows_give_no_figures(drawn_run: Path, tmp_path: Path) -> None:
    for table in drawn_run.glob("*.csv"):
        header = table.read_text("utf-8").partition("\n")[0]
        (tmp_path / table.name).write_text(header + "\n", "utf-8")
    assert draw_figures(RunFolder(tmp_path)) == {}


def test_a_damaged_table_is_named(drawn_run: Path, tmp_path: Path) -> None:
    text = (drawn_run / "curves.csv").read_text("utf-8").replace("linf,", "linf,x", 1)
    (tmp_path / "curves.csv").write_text(text, "utf-8")
    with pytest.raises(MlError, match=r"curves\.csv cannot be read .* run its step again"):
        draw_figures(RunFolder(tmp_path))


def test_damaged_arrays_are_named(drawn_run: Path, tmp_path: Path) -> None:
    shutil.copy(drawn_run / "curves.csv", tmp_path / "examples.npz")
    with pytest.raises(MlError, match=r"examples\.npz cannot be read .* run its step again"):
        draw_figures(RunFolder(tmp_path))
