"""A batch is accepted when it keeps docs/batch-format.md, or all that is wrong is said."""

import hashlib
import io
import json
import os
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.batches.check import CheckedBatch, check_batch
from app.batches.files import Limits
from app.errors import Conflict, Invalid

MakeBatch = Callable[..., Path]


@pytest.fixture
def batch(make_batch: MakeBatch, tmp_path: Path) -> Path:
    return make_batch(tmp_path / "batch")


def problems_of(path: Path, limits: Limits | None = None) -> list[str]:
    with pytest.raises(Invalid) as refused:
        check_batch(path, limits or Limits())
    return list(refused.value.problems)


def the_problem(path: Path, limits: Limits | None = None) -> str:
    problems = problems_of(path, limits)
    assert len(problems) == 1, problems
    return problems[0]


def load(batch: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((batch / "batch.json").read_text(encoding="utf-8"))
    return manifest


def save(batch: Path, manifest: dict[str, Any]) -> None:
    (batch / "batch.json").write_text(json.dumps(manifest), encoding="utf-8")


def replace_image(batch: Path, entry: dict[str, Any], content: bytes) -> None:
    """Another file under the same name, with its digest in the (not yet saved) manifest."""
    (batch / entry["file"]).write_bytes(content)
    entry["sha256"] = hashlib.sha256(content).hexdigest()


def pixels_of(batch: Path, entry: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(batch / entry["file"]) as image:
        return np.array(image)


def saved(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """The chunk directly behind the header, which ends at byte 33."""
    return png[:33] + png_chunk(kind, body) + png[33:]


def zipped(batch: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(batch.rglob("*.*")):
            archive.write(file, f"{top}{file.relative_to(batch).as_posix()}")
    return target


def everything_in(checked: CheckedBatch) -> list[tuple[str, str, bytes]]:
    return [(image.case, image.condition, image.pixels.tobytes()) for image in checked.images()]


# What is accepted.


def test_a_folder_is_accepted_and_its_pixels_are_handed_over(batch: Path) -> None:
    checked = check_batch(batch)

    manifest = load(batch)
    handed_over = list(checked.images())
    assert checked.digest == hashlib.sha256((batch / "batch.json").read_bytes()).hexdigest()
    assert [(image.case, image.condition) for image in handed_over] == [
        (case, condition)
        for case in ("c01", "c02", "c03", "c04")
        for condition in ("original", "linf-2")
    ]
    assert np.array_equal(handed_over[0].pixels, pixels_of(batch, manifest["cases"][0]["original"]))
    assert handed_over[1].sha256 == manifest["cases"][0]["perturbed"][0]["sha256"]
    assert handed_over[1].pixels.dtype == np.uint8


@pytest.mark.parametrize("top", ["", "my batch/"])
def test_a_zip_of_the_contents_or_of_the_folder_is_the_same_batch(
    batch: Path, tmp_path: Path, top: str
) -> None:
    archive = zipped(batch, tmp_path / "delivery", top)

    assert everything_in(check_batch(archive)) == everything_in(check_batch(batch))
    assert check_batch(archive).digest == check_batch(batch).digest


def test_several_conditions_are_accepted(make_batch: MakeBatch, tmp_path: Path) -> None:
    checked = check_batch(make_batch(tmp_path / "batch", cases=2, conditions=3))

    assert [condition.id for condition in checked.manifest.conditions] == [
        "linf-2",
        "linf-4",
        "linf-6",
    ]


def test_what_a_desktop_leaves_behind_is_ignored(batch: Path) -> None:
    (batch / "images" / ".DS_Store").write_bytes(b"litter")
    (batch / "__MACOSX").mkdir()
    (batch / "__MACOSX" / "._batch.json").write_bytes(b"litter")

    check_batch(batch)


def test_an_interlaced_png_is_accepted(batch: Path) -> None:
    manifest = load(batch)
    entry = manifest["cases"][0]["original"]
    pixels = pixels_of(batch, entry)
    replace_image(batch, entry, interlaced(pixels))
    save(batch, manifest)

    assert np.array_equal(next(iter(check_batch(batch).images())).pixels, pixels)


def interlaced(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Adam7, which Pillow reads but does not write: the seven passes, rows unfiltered."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b"".join(
        b"\0" + row.tobytes()
        for y, x, down, across in [*passes, (1, 0, 2, 1)]
        for row in pixels[y::down, x::across]
    )
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)


def test_progress_counts_the_images(batch: Path) -> None:
    seen: list[tuple[int, int]] = []

    check_batch(batch, progress=lambda done, total: seen.append((done, total)))

    assert seen == [(number, 8) for number in range(1, 9)]


def test_memory_holds_a_few_images_however_many_there_are(
    make_batch: MakeBatch, tmp_path: Path
) -> None:
    path = make_batch(tmp_path / "batch", cases=24, size=128)
    one_image = 128 * 128 * 3
    check_batch(path)

    tracemalloc.start()
    check_batch(path)
    for image in check_batch(path).images():
        assert image.pixels.nbytes == one_image
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20 * one_image


def test_what_changed_after_the_check_is_not_handed_over(batch: Path) -> None:
    checked = check_batch(batch)
    second = load(batch)["cases"][0]["perturbed"][0]["file"]
    content = (batch / second).read_bytes()
    (batch / second).write_bytes(content[:-1] + b"?")

    images = checked.images()
    next(images)
    with pytest.raises(Conflict, match="changed while it was imported"):
        next(images)


# What is wrong with the manifest.


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "batch.json is not JSON: Expecting property name"),
        (b"null", "batch.json should hold an object"),
        (b"[]", "batch.json should hold an object"),
        (b'{"name": "\xe9"}', "batch.json is not UTF-8 text"),
        (b'{"name": NaN}', "batch.json is not JSON: NaN is not a number that can be stored"),
        (b'{"name": 1e999}', "batch.json is not JSON: 1e999 is not a number"),
        (b'{"name": ' + b"9" * 5000 + b"}", "batch.json is not JSON: Exceeds the limit"),
        (b'{"name": "a", "name": "b"}', 'batch.json has the key "name" 2 times'),
        (b'{"name": "\\u0000"}', "batch.json has a text with a character that cannot be stored"),
        (b'{"name": "\\ud800"}', "batch.json has a text with a character that cannot be stored"),
        (b"[" * 100_000, "batch.json is nested too deeply"),
        (b'{"a": ' * 60 + b"1" + b"}" * 60, "batch.json is nested too deeply"),
    ],
)
def test_a_manifest_that_is_not_strict_json_is_refused(
    batch: Path, content: bytes, problem: str
) -> None:
    (batch / "batch.json").write_bytes(content)

    assert the_problem(batch).startswith(problem)


def test_of_an_unknown_version_only_the_version_is_said(batch: Path) -> None:
    manifest = load(batch) | {"format_version": 2, "name": 7, "more": 1}
    save(batch, manifest)

    assert the_problem(batch) == (
        "batch.json has format_version 2, but this Plainsight reads versions 1 and 1.1 only; "
        "import it with the version that knows it."
    )


def test_faults_of_shape_say_which_case_and_field(batch: Path) -> None:
    manifest = load(batch)
    del manifest["criterion"]
    manifest["colour"] = "pink"
    manifest["cases"][1]["truth"] = True
    manifest["cases"][1]["perturbed"][0]["sha256"] = "12"
    manifest["cases"][2]["id"] = 3
    manifest["conditions"][0]["epsilon"] = None
    save(batch, manifest)

    assert set(problems_of(batch)) == {
        "batch.json, criterion: the field is missing.",
        "batch.json, colour: is not a field of this format; remove it.",
        "batch.json, case c02, truth: should be a whole number.",
        "batch.json, case c02, condition linf-2, sha256: should match pattern '^[0-9a-f]{64}$'.",
        "batch.json, case number 3, id: should be text.",
        "batch.json, condition linf-2, epsilon: should be a number, since there is a norm.",
    }


def test_faults_of_shape_and_of_files_are_said_together(batch: Path) -> None:
    manifest = load(batch)
    del manifest["criterion"]
    manifest["cases"][0]["truth"] = "yes"
    save(batch, manifest)
    missing = manifest["cases"][1]["original"]["file"]
    (batch / missing).unlink()
    (batch / "images" / "more.png").write_bytes(b"")

    assert set(problems_of(batch)) == {
        "batch.json, criterion: the field is missing.",
        "batch.json, case c01, truth: should be 0 or 1.",
        "images/more.png is not named in batch.json; remove it.",
        f"case c02, original: {missing} is missing; copy the batch again.",
    }


def test_three_faults_are_three_problems(batch: Path) -> None:
    manifest = load(batch)
    manifest["cases"][0]["perturbed"][0]["measured"]["linf"] = 1
    manifest["cases"][1]["perturbed"][0]["success"] = False
    save(batch, manifest)
    (batch / manifest["cases"][2]["original"]["file"]).unlink()

    assert len(problems_of(batch)) == 3


def test_of_very_many_problems_a_hundred_are_listed(make_batch: MakeBatch, tmp_path: Path) -> None:
    path = make_batch(tmp_path / "batch", cases=120, size=8)
    for image in (path / "images").iterdir():
        image.unlink()

    problems = problems_of(path)

    assert len(problems) == 101
    assert problems[-1] == "and 140 more"


def test_a_name_used_twice_is_a_problem(batch: Path) -> None:
    manifest = load(batch)
    first, second = manifest["cases"][:2]
    second["id"] = first["id"]
    second["original"].update(file=first["original"]["file"], sha256=first["original"]["sha256"])
    manifest["conditions"].append(manifest["conditions"][0] | {"seed": 1})
    save(batch, manifest)

    problems = problems_of(batch)

    assert "the condition id linf-2 is used 2 times; each must be used once." in problems
    assert "the case id c01 is used 2 times; each must be used once." in problems
    assert f"the file {first['original']['file']} is used 2 times; each must be used once." in (
        problems
    )


def test_two_originals_with_the_same_pixels_are_a_problem(batch: Path) -> None:
    manifest = load(batch)
    first, second = manifest["cases"][:2]
    same_pixels = saved(Image.fromarray(pixels_of(batch, first["original"])), compress_level=1)
    replace_image(batch, second["original"], same_pixels)
    save(batch, manifest)

    assert (
        f"case c02, original: {second['original']['file']} has the same pixels as the original "
        "of case c01; leave one of them out." in problems_of(batch)
    )


def test_a_condition_that_is_not_listed_is_a_problem(batch: Path) -> None:
    manifest = load(batch)
    manifest["cases"][0]["perturbed"][0]["condition"] = "l2-9"
    save(batch, manifest)

    assert the_problem(batch) == ("case c01: there is no condition l2-9 in the list of conditions.")


def test_one_condition_twice_in_a_case_is_a_problem(make_batch: MakeBatch, tmp_path: Path) -> None:
    path = make_batch(tmp_path / "batch", conditions=2)
    manifest = load(path)
    manifest["cases"][0]["perturbed"][0]["condition"] = "linf-4"
    save(path, manifest)

    assert the_problem(path) == (
        "case c01: condition linf-4 is used 2 times; each must be used once."
    )


@pytest.mark.parametrize("case", [0, 1])
def test_a_success_that_the_probability_denies_is_a_problem(batch: Path, case: int) -> None:
    manifest = load(batch)
    manifest["cases"][case]["perturbed"][0]["success"] = False
    save(batch, manifest)

    assert f"case c0{case + 1}, condition linf-2: success is false, but p_positive" in (
        the_problem(batch)
    )


def test_one_half_is_the_class_tumour(batch: Path) -> None:
    manifest = load(batch)
    manifest["cases"][0]["original"]["p_positive"] = 0.5
    manifest["cases"][1]["perturbed"][0]["p_positive"] = 0.5
    save(batch, manifest)

    check_batch(batch)


def test_an_attack_that_failed_is_accepted(batch: Path) -> None:
    manifest = load(batch)
    manifest["cases"][0]["perturbed"][0].update(success=False, p_positive=0.8)
    save(batch, manifest)

    check_batch(batch)


def test_an_original_that_is_misclassified_is_a_problem(batch: Path) -> None:
    manifest = load(batch)
    manifest["cases"][0]["original"]["p_positive"] = 0.2
    save(batch, manifest)

    assert "case c01: the network misclassifies the original" in the_problem(batch)


# What is wrong with files.


def test_a_batch_without_a_manifest_says_so(batch: Path) -> None:
    (batch / "batch.json").unlink()

    assert the_problem(batch) == "batch.json is missing; copy the batch again."


def test_a_path_to_nothing_is_said(tmp_path: Path) -> None:
    assert the_problem(tmp_path / "none") == "the batch is neither a folder nor a file."


def test_a_file_that_is_no_zip_is_said(tmp_path: Path) -> None:
    (tmp_path / "batch.zip").write_bytes(b"not a zip" * 100)

    assert the_problem(tmp_path / "batch.zip").startswith("the batch is not a zip that can be read")


def test_a_wrong_digest_names_the_case_the_file_and_both_digests(batch: Path) -> None:
    entry = load(batch)["cases"][2]["perturbed"][0]
    content = (batch / entry["file"]).read_bytes() + b"?"
    (batch / entry["file"]).write_bytes(content)

    assert the_problem(batch) == (
        f"case c03, condition linf-2: {entry['file']} has sha256 "
        f"{hashlib.sha256(content).hexdigest()}, batch.json says {entry['sha256']}; "
        "copy the batch again."
    )


def test_files_that_the_manifest_does_not_name_are_a_problem(batch: Path) -> None:
    (batch / "images" / "more.png").write_bytes(b"")
    (batch / "notes.txt").write_bytes(b"")

    assert problems_of(batch) == [
        "images/more.png is not named in batch.json; remove it.",
        "notes.txt is not named in batch.json; remove it.",
    ]


def test_a_link_in_a_folder_is_not_followed(batch: Path, tmp_path: Path) -> None:
    file = batch / load(batch)["cases"][0]["original"]["file"]
    file.rename(tmp_path / "elsewhere.png")
    file.symlink_to(tmp_path / "elsewhere.png")

    assert "is a link; put the file itself there." in the_problem(batch)


def test_a_linked_folder_is_not_followed(batch: Path, tmp_path: Path) -> None:
    (batch / "images").rename(tmp_path / "elsewhere")
    (batch / "images").symlink_to(tmp_path / "elsewhere")

    problems = problems_of(batch)

    assert problems[0] == "images is a link; put the folder itself there."
    assert all("is missing" in problem for problem in problems[1:])


def test_a_pipe_among_the_files_does_not_block(batch: Path) -> None:
    file = batch / load(batch)["cases"][0]["original"]["file"]
    file.unlink()
    os.mkfifo(file)

    assert "is not a plain file." in the_problem(batch)


def test_a_path_in_the_manifest_cannot_leave_the_folder(batch: Path) -> None:
    for path in (
        "images/../../secretsecretsecret.png",
        "/etc/passwd",
        "images\\0123456789abcdef.png",
    ):
        manifest = load(batch)
        manifest["cases"][0]["original"]["file"] = path
        save(batch, manifest)

        assert any(
            problem.startswith("batch.json, case c01, original, file: should match pattern")
            for problem in problems_of(batch)
        )


# What is wrong with a picture.


def as_palette(image: Image.Image) -> bytes:
    return saved(image.quantize(16))


def as_16_bit(image: Image.Image) -> bytes:
    return saved(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16)))


def as_animation(image: Image.Image) -> bytes:
    other = image.transpose(Image.Transpose.ROTATE_90)
    return saved(image, save_all=True, append_images=[other])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (as_palette, "is a PNG that is 4-bit palette, not 8-bit RGB"),
        (lambda image: saved(image.convert("RGBA")), "is a PNG that is 8-bit RGB with alpha"),
        (lambda image: saved(image.convert("L")), "is a PNG that is 8-bit grey, not 8-bit RGB"),
        (lambda image: saved(image.convert("LA")), "is a PNG that is 8-bit grey with alpha"),
        (as_16_bit, "is a PNG that is 16-bit grey, not 8-bit RGB"),
        (lambda image: saved(image, "JPEG"), "is not a PNG"),
        (lambda _: b"", "is not a PNG"),
        (as_animation, "is an animated PNG"),
        (lambda image: saved(image)[:-20], "is truncated"),
        (lambda image: saved(image)[:20], "is truncated"),
        (lambda image: saved(image) + b"more", "is a PNG with something behind its end"),
        (lambda image: saved(image)[:60] + b"?" + saved(image)[61:], "is damaged in its b'IDAT'"),
        (lambda image: saved(image)[:33] + png_chunk(b"IEND", b""), "is a damaged PNG"),
        (
            lambda image: (
                saved(image)[:33]
                + png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
                + png_chunk(b"IEND", b"")
            ),
            "is a damaged PNG",
        ),
        (
            lambda image: with_chunk(saved(image), b"tRNS", b"\0" * 6),
            "is a PNG with a transparent colour",
        ),
        (
            lambda image: with_chunk(saved(image), b"ABCD", b""),
            "is a PNG with an unknown critical chunk b'ABCD'",
        ),
        (
            lambda _: (
                b"\x89PNG\r\n\x1a\n"
                + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
                + png_chunk(b"IEND", b"")
            ),
            "is 60000 x 60000, not between 1 and 16777216 pixels",
        ),
        (
            lambda _: b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""),
            "is a PNG without a header",
        ),
    ],
)
def test_a_picture_that_is_not_an_8_bit_rgb_png_is_refused(
    batch: Path, change: Callable[[Image.Image], bytes], problem: str
) -> None:
    manifest = load(batch)
    entry = manifest["cases"][0]["original"]
    replace_image(batch, entry, change(Image.fromarray(pixels_of(batch, entry))))
    save(batch, manifest)

    assert f"case c01, original: {entry['file']} {problem}" in the_problem(batch)


def test_a_text_that_expands_without_end_has_no_effect(batch: Path) -> None:
    manifest = load(batch)
    entry = manifest["cases"][0]["original"]
    bomb = b"Comment\0\0" + zlib.compress(bytes(50_000_000))
    content = with_chunk((batch / entry["file"]).read_bytes(), b"zTXt", bomb)
    replace_image(batch, entry, content)
    save(batch, manifest)

    check_batch(batch)


@pytest.mark.parametrize("kind", [b"gAMA", b"cHRM", b"iCCP", b"sRGB", b"cICP"])
def test_a_pair_must_have_one_colour_profile(batch: Path, kind: bytes) -> None:
    manifest = load(batch)
    case = manifest["cases"][0]
    both = (case["original"], case["perturbed"][0])
    for entry in both:
        content = (batch / entry["file"]).read_bytes()
        replace_image(batch, entry, with_chunk(content, kind, b"one"))
    save(batch, manifest)
    check_batch(batch)

    content = (
        (batch / both[1]["file"])
        .read_bytes()
        .replace(png_chunk(kind, b"one"), png_chunk(kind, b"two"))
    )
    replace_image(batch, both[1], content)
    save(batch, manifest)

    assert "has another colour profile than its original" in the_problem(batch)


# What is wrong with a pair.


def test_a_pair_of_unequal_sizes_is_a_problem(batch: Path) -> None:
    manifest = load(batch)
    entry = manifest["cases"][0]["perturbed"][0]
    replace_image(batch, entry, saved(Image.fromarray(pixels_of(batch, entry)[:, :60])))
    save(batch, manifest)

    assert "is 60 x 64 pixels, its original 64 x 64 pixels" in the_problem(batch)


def test_a_perturbed_image_equal_to_its_original_is_a_problem(batch: Path) -> None:
    manifest = load(batch)
    case = manifest["cases"][0]
    pixels = pixels_of(batch, case["original"])
    replace_image(batch, case["perturbed"][0], saved(Image.fromarray(pixels)))
    case["perturbed"][0]["measured"] = {"l0_fraction": 0, "l1_mad": 0, "l2_rmsd": 0, "linf": 0}
    save(batch, manifest)

    assert "has the same pixels as its original" in the_problem(batch)


@pytest.mark.parametrize(
    ("norm", "allowed", "too_little"),
    [("linf", "3", "2"), ("l1", "2.01", "1.99"), ("l2", "2.1", "1.9999"), ("l0", "1", "0.999")],
)
def test_a_perturbation_above_its_budget_is_a_problem(
    batch: Path, norm: str, allowed: str, too_little: str
) -> None:
    manifest = load(batch)
    case = manifest["cases"][0]
    entry = case["perturbed"][0]
    pixels = pixels_of(batch, entry)
    stronger = pixels[0, 0, 0] > pixels_of(batch, case["original"])[0, 0, 0]
    pixels[0, 0, 0] += 1 if stronger else -1
    replace_image(batch, entry, saved(Image.fromarray(pixels)))
    values = pixels.size
    entry["measured"] = {
        "l0_fraction": 1.0,
        "l1_mad": 2 + 1 / values,
        "l2_rmsd": ((4 * (values - 1) + 9) / values) ** 0.5,
        "linf": 3,
    }
    manifest["conditions"][0].update(norm=norm, epsilon=allowed)
    save(batch, manifest)
    check_batch(batch)

    manifest["conditions"][0]["epsilon"] = too_little
    manifest["cases"] = [case]
    for image in (batch / "images").iterdir():
        if f"images/{image.name}" not in (case["original"]["file"], entry["file"]):
            image.unlink()
    save(batch, manifest)

    assert f"above the declared epsilon of {too_little};" in the_problem(batch)


@pytest.mark.parametrize("norm", ["l0_fraction", "l1_mad", "l2_rmsd", "linf"])
def test_a_measured_norm_that_the_pixels_deny_is_a_problem(batch: Path, norm: str) -> None:
    manifest = load(batch)
    measured = manifest["cases"][0]["perturbed"][0]["measured"]
    measured[norm] = 1 if norm == "linf" else measured[norm] * 0.999
    save(batch, manifest)

    problem = the_problem(batch)

    assert problem.startswith("case c01, condition linf-2: images/")
    assert f" has {norm} " in problem


# What is wrong with a zip.


def test_paths_that_leave_the_zip_are_a_problem(batch: Path, tmp_path: Path) -> None:
    outside = ["../up.png", "/root.png", "images/../../up.png", "C:/x.png", "images\\x.png"]
    archive_path = zipped(batch, tmp_path / "batch.zip")
    with zipfile.ZipFile(archive_path, "a") as archive:
        for name in outside:
            archive.writestr(name, b"")

    assert problems_of(archive_path) == [
        f"{name} is a path that leaves the folder; make the zip again." for name in outside
    ]


def test_a_name_in_a_zip_that_is_empty_up_to_a_nul_is_a_problem(
    batch: Path, tmp_path: Path
) -> None:
    """ZipInfo.is_dir of Python 3.11 raises IndexError on it."""
    archive_path = zipped(batch, tmp_path / "batch.zip")
    nameless = zipfile.ZipInfo("nameless")
    nameless.filename = "\0nameless"
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr(nameless, b"")

    assert the_problem(archive_path) == "�nameless is not named in batch.json; remove it."


def test_faults_of_a_zip_and_of_its_contents_are_said_together(batch: Path, tmp_path: Path) -> None:
    manifest = load(batch)
    manifest["cases"][0]["perturbed"][0]["success"] = False
    save(batch, manifest)
    archive_path = zipped(batch, tmp_path / "batch.zip")
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr("../up.png", b"")

    problems = problems_of(archive_path)

    assert len(problems) == 2
    assert problems[0].startswith("../up.png is a path")
    assert problems[1].startswith("case c01, condition linf-2: success is false")


def test_a_link_in_a_zip_is_not_followed(batch: Path, tmp_path: Path) -> None:
    name = load(batch)["cases"][0]["original"]["file"]
    (batch / name).unlink()
    archive_path = zipped(batch, tmp_path / "batch.zip")
    link = zipfile.ZipInfo(name)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr(link, "/etc/passwd")

    assert f"{name} is a link" in the_problem(archive_path)


def test_one_name_twice_in_a_zip_is_a_problem(batch: Path, tmp_path: Path) -> None:
    archive_path = zipped(batch, tmp_path / "batch.zip")
    with zipfile.ZipFile(archive_path, "a") as archive, pytest.warns(UserWarning, match="Dupl"):
        archive.write(batch / "batch.json", "batch.json")

    assert the_problem(archive_path) == "batch.json is 2 times in the zip; make the zip again."


def test_an_encrypted_zip_is_a_problem(batch: Path, tmp_path: Path) -> None:
    archive_path = zipped(batch, tmp_path / "batch.zip")
    content = bytearray(archive_path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(signature) + flags] |= 1
    archive_path.write_bytes(content)

    assert "is encrypted; make the zip again without a password." in the_problem(archive_path)


def test_an_unusual_compression_is_a_problem(batch: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "batch.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(batch / "batch.json", "batch.json")

    assert the_problem(tmp_path / "batch.zip").startswith(
        "batch.json is compressed by an unusual method"
    )


def test_a_damaged_entry_is_a_problem(batch: Path, tmp_path: Path) -> None:
    archive_path = zipped(batch, tmp_path / "batch.zip")
    name = load(batch)["cases"][0]["original"]["file"]
    content = bytearray(archive_path.read_bytes())
    content[content.index((batch / name).read_bytes()) + 200] ^= 1
    archive_path.write_bytes(content)

    assert f"{name} cannot be read (Bad CRC-32" in the_problem(archive_path)


def test_a_truncated_zip_is_a_problem(batch: Path, tmp_path: Path) -> None:
    archive_path = zipped(batch, tmp_path / "batch.zip")
    archive_path.write_bytes(archive_path.read_bytes()[:-100])

    assert the_problem(archive_path).startswith("the batch is not a zip that can be read")


@given(where=st.floats(0, 0.999), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_zip_with_any_byte_changed_is_accepted_whole_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory,
    where: float,
    value: int,
    small_zip: tuple[bytes, list[tuple[str, str, bytes]]],
) -> None:
    content, everything = small_zip
    changed = bytearray(content)
    changed[int(where * len(content))] = value
    path = tmp_path_factory.mktemp("zip") / "batch.zip"
    path.write_bytes(changed)

    problems: tuple[str, ...] | None = None
    try:
        accepted = everything_in(check_batch(path))
    except Invalid as refused:
        problems = refused.problems
    assert problems or accepted == everything


@pytest.fixture(scope="module")
def small_zip(
    tmp_path_factory: pytest.TempPathFactory, make_batch: MakeBatch
) -> tuple[bytes, list[tuple[str, str, bytes]]]:
    folder = tmp_path_factory.mktemp("small")
    batch = make_batch(folder / "batch", cases=1, size=8)
    archive = zipped(batch, folder / "batch.zip")
    return archive.read_bytes(), everything_in(check_batch(batch))


# Limits.


def bomb(path: Path, name: str, size: int) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(size))


def test_a_file_above_the_limit_is_read_no_further(batch: Path, tmp_path: Path) -> None:
    name = load(batch)["cases"][0]["original"]["file"]
    (batch / name).unlink()
    archive_path = zipped(batch, tmp_path / "batch.zip")
    bomb(archive_path, name, 200_000_000)

    tracemalloc.start()
    problem = the_problem(archive_path, Limits(file_bytes=1_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert f"{name} is larger than the limit of 1000000 bytes." in problem
    assert peak < 20_000_000


def test_a_header_that_lies_about_the_size_does_not_help(batch: Path, tmp_path: Path) -> None:
    name = load(batch)["cases"][0]["original"]["file"]
    (batch / name).unlink()
    archive_path = zipped(batch, tmp_path / "batch.zip")
    bomb(archive_path, name, 5_000_000)
    content = archive_path.read_bytes()
    archive_path.write_bytes(
        content.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 1_000))
    )

    assert f"{name} cannot be read (Bad CRC-32" in the_problem(
        archive_path, Limits(file_bytes=1_000_000)
    )


@pytest.mark.parametrize("as_zip", [False, True])
def test_too_many_bytes_in_all_are_refused(batch: Path, tmp_path: Path, as_zip: bool) -> None:
    path = zipped(batch, tmp_path / "batch.zip") if as_zip else batch

    assert the_problem(path, Limits(total_bytes=30_000)) == (
        "the files are together larger than the limit of 30000 bytes."
    )


@pytest.mark.parametrize("as_zip", [False, True])
def test_too_many_files_are_refused(batch: Path, tmp_path: Path, as_zip: bool) -> None:
    path = zipped(batch, tmp_path / "batch.zip") if as_zip else batch

    assert the_problem(path, Limits(files=8)) == "the batch holds more than 8 files."
    check_batch(path, Limits(files=9))


def test_an_endless_table_of_contents_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "batch.zip", "w") as archive:
        for number in range(3_000):
            archive.writestr(f"{number:0>100}", b"")

    assert the_problem(tmp_path / "batch.zip", Limits(files=10)) == (
        "the batch has too long a table of contents."
    )


def test_pixels_are_limited_before_they_are_decoded(batch: Path) -> None:
    assert "is 64 x 64, not between 1 and 4095 pixels" in problems_of(batch, Limits(pixels=4095))[0]
    check_batch(batch, Limits(pixels=4096))


def test_names_from_strangers_are_made_fit_to_print(batch: Path, tmp_path: Path) -> None:
    archive_path = zipped(batch, tmp_path / "batch.zip")
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr("\x1b[2J" + "a" * 5_000, b"")

    problem = the_problem(archive_path)

    assert "\x1b" not in problem
    assert len(problem) < 600
