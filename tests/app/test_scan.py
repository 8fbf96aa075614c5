"""The scan of delivered files tells what would unblind a reader, and what cannot reach one."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.metrics import structural_similarity
from sqlalchemy import select

from app.batches.domain import difference
from app.batches.manifest import ORIGINAL
from app.batches.scan import Scan, auc, sign_test
from app.batches.scan_view import scan_of
from app.batches.service import import_batch
from app.batches.similarity import ssim
from app.batches.traits import traits_of
from app.storage.images import ImageStore
from app.storage.models import Batch, Stimulus
from app.storage.session import Database
from app.web.identity import now

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]
Save = Callable[[Pixels], bytes]


def png(pixels: Pixels, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def smooth(rng: np.random.Generator, size: int = 96) -> Pixels:
    """Slowly varying colours with a little noise, as tissue has them."""
    coarse = rng.integers(60, 200, (size // 12 + 2, size // 12 + 2, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    noisy = np.array(image) + rng.normal(0, 4, (size, size, 3))
    pixels: Pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels


def scanned(change: Change, save: Save = png, first: Change = lambda pixels: pixels) -> Any:
    """The findings on twelve pairs, by name; `change` makes the perturbed image."""
    rng = np.random.default_rng(1)
    scan = Scan()
    for _ in range(12):
        original = first(smooth(rng))
        perturbed = change(original)
        scan.add(ORIGINAL, traits_of(png(original), original))
        scan.add("c", traits_of(save(perturbed), perturbed))
    result = scan.result()
    return result["verdict"], {finding["name"]: finding for finding in result["findings"]}


def noise(grey_levels: int) -> Change:
    rng = np.random.default_rng(2)

    def change(pixels: Pixels) -> Pixels:
        signs = grey_levels * rng.choice([-1, 1], pixels.shape)
        changed: Pixels = np.clip(pixels + signs, 0, 255).astype(np.uint8)
        return changed

    return change


def through_jpeg(pixels: Pixels, quality: int = 60, subsampling: int = 2) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.array(Image.open(buffer))


def brighter(pixels: Pixels) -> Pixels:
    changed: Pixels = np.clip(pixels.astype(np.int16) + 2, 0, 255).astype(np.uint8)
    return changed


@pytest.mark.parametrize("grey_levels", [1, 4, 16])
def test_a_usual_perturbation_is_green_though_its_files_are_larger(grey_levels: int) -> None:
    verdict, findings = scanned(noise(grey_levels))
    assert verdict == "green"
    size = findings["file_size"]
    assert size["p"] < 0.001
    assert "all images of a study are served with one length" in size["words"]
    if grey_levels > 1:
        assert size["auc"] > 0.75
        assert size["state"] == "closed"


def test_traces_of_jpeg_in_one_arm_are_amber() -> None:
    verdict, findings = scanned(through_jpeg)
    assert verdict == "amber"
    assert findings["jpeg_grid"]["state"] == "amber"
    assert "is plainer here" in findings["jpeg_grid"]["words"]
    assert "save no image as JPEG in between" in findings["jpeg_grid"]["words"]


@pytest.mark.parametrize("quality", [75, 90, 95, 98])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_perturbed_image_that_was_a_jpeg_of_any_quality_is_amber(
    quality: int, subsampling: int
) -> None:
    spread = noise(2)

    def change(pixels: Pixels) -> Pixels:
        return through_jpeg(spread(pixels), quality=quality, subsampling=subsampling)

    verdict, findings = scanned(change)
    assert verdict == "amber"
    assert findings["jpeg_grid"]["state"] == "amber"
    assert "save no image as JPEG in between" in findings["jpeg_grid"]["words"]


def test_a_perturbation_that_hides_the_steps_of_jpeg_is_green() -> None:
    def first(pixels: Pixels) -> Pixels:
        return through_jpeg(pixels, quality=95)

    for grey_levels in (1, 2, 8):
        _, findings = scanned(noise(grey_levels), first=first)
        assert findings["jpeg_grid"]["state"] == "same"


def test_traces_of_jpeg_in_the_originals_alone_are_amber() -> None:
    rng = np.random.default_rng(3)
    before = iter([smooth(rng) for _ in range(12)])
    kept: list[Pixels] = []

    def first(_pixels: Pixels) -> Pixels:
        kept.append(next(before))
        return through_jpeg(kept[-1])

    verdict, findings = scanned(lambda _original: kept[-1], first=first)
    assert verdict == "amber"
    assert "is plainer in the originals" in findings["jpeg_grid"]["words"]


def test_the_same_traces_of_jpeg_in_both_arms_are_green() -> None:
    verdict, findings = scanned(noise(2), first=through_jpeg)
    assert (verdict, findings["jpeg_grid"]["state"]) == ("green", "same")


def test_a_shift_of_the_mean_colour_is_amber() -> None:
    verdict, findings = scanned(brighter)
    assert verdict == "amber"
    assert findings["mean_colour"]["state"] == "amber"
    assert findings["mean_colour"]["shifts"] == pytest.approx([2, 2, 2], abs=0.01)


def test_metadata_profile_and_compressor_differ_but_reach_no_reader() -> None:
    info = PngInfo()
    info.add_text("Software", "attack tool")

    def save(pixels: Pixels) -> bytes:
        return png(pixels, pnginfo=info, compress_level=0, icc_profile=b"a profile")

    verdict, findings = scanned(noise(2), save)
    assert verdict == "green"
    for name in ("metadata", "colour_profile", "compressor"):
        assert findings[name]["state"] == "closed", name
        assert findings[name]["differing"] == 12
        assert "No reader can see it." in findings[name]["words"]
    assert "tEXt" in findings["metadata"]["words"]
    assert "iCCP" in findings["colour_profile"]["words"]


def test_tiny_images_are_scanned_too() -> None:
    scan = Scan()
    one = np.zeros((1, 1, 3), np.uint8)
    for condition in (ORIGINAL, "c"):
        scan.add(condition, traits_of(png(one), one))
    assert scan.result()["verdict"] == "green"


def test_an_import_keeps_the_scan_and_an_old_batch_says_that_it_has_none(
    database: Database, store: ImageStore, make_batch: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_batch(tmp_path / "batch", cases=3, conditions=2, size=32)
    number = import_batch(path, database, store, now())
    with database.writing() as session:
        batch = session.get_one(Batch, number)
        view = scan_of(batch)
        assert (view.verdict, view.needs_reason) == ("green", False)
        assert {line.condition for line in view.lines} == {"linf-2", "linf-4"}
        assert len(view.lines) == 14
        batch.scan = None
    with database.reading() as session:
        view = scan_of(session.get_one(Batch, number))
        assert (view.verdict, view.needs_reason, view.lines) == ("none", True, ())


def test_an_import_measures_ssim_of_every_perturbed_image(
    database: Database, store: ImageStore, make_batch: Callable[..., Path], tmp_path: Path
) -> None:
    import_batch(make_batch(tmp_path / "batch", size=32), database, store, now())
    with database.reading() as session:
        for stimulus in session.scalars(select(Stimulus)):
            is_measured = stimulus.ssim is not None and 0.5 < stimulus.ssim < 1
            assert is_measured == (stimulus.condition_id is not None)


def by_skimage(first: Pixels, second: Pixels) -> float:
    return float(
        structural_similarity(
            first,
            second,
            channel_axis=2,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


@given(
    st.tuples(st.integers(11, 40), st.integers(11, 40)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 8, 255]),
)
@settings(max_examples=40, deadline=None)
def test_ssim_is_that_of_wang_as_scikit_image_has_it(
    size: tuple[int, int], seed: int, most: int
) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    changed = first + rng.integers(-most, most + 1, first.shape)
    second = np.clip(changed, 0, 255).astype(np.uint8)
    assert ssim(first, second) == pytest.approx(by_skimage(first, second), abs=1e-12)


def test_ssim_of_a_large_image_goes_in_stripes_and_is_the_same() -> None:
    rng = np.random.default_rng(4)
    first = rng.integers(0, 256, (1031, 40, 3), dtype=np.uint8)
    second = noise(8)(first)
    assert ssim(first, second) == pytest.approx(by_skimage(first, second), abs=1e-12)
    assert ssim(first, first) == 1


def test_an_image_smaller_than_one_window_has_no_ssim() -> None:
    small = np.zeros((10, 50, 3), np.uint8)
    assert ssim(small, small) is None


def test_the_difference_is_ten_times_the_change_around_a_middle_grey() -> None:
    first = np.array([[[100, 100, 100]]], np.uint8)
    second = np.array([[[103, 98, 200]]], np.uint8)
    assert difference(first, second).tolist() == [[[158, 108, 255]]]


def test_auc_counts_ties_half_and_the_sign_test_is_exact() -> None:
    low, high = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    assert (auc(low, high), auc(high, low), auc(low, low)) == (1, 0, 0.5)
    assert sign_test(low, high) == 0.25
    assert sign_test(low, low) == 1
    ten = np.arange(10.0)
    assert sign_test(ten, ten + 1) == pytest.approx(2 / 2**10)
