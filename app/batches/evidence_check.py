"""The files of `evidence/`: each as the manifest names it, and what they say."""

from collections.abc import Iterator
from typing import Any

from app.batches.digests import WrongDigestError, other_digest, read_unchanged
from app.batches.domain import used_twice
from app.batches.evidence import read_evidence
from app.batches.files import Files, UnreadableError
from app.batches.manifest import Contents, EvidenceList, SaliencyImage
from app.batches.png import NotPlainPngError, decode
from app.batches.problems import Problems

Shapes = dict[tuple[str, str], tuple[int, ...]]
"""Of the images of the batch that could be read, by case and condition."""


def check_evidence(
    files: Files, contents: Contents, listed: EvidenceList, shapes: Shapes, problems: Problems
) -> dict[str, Any]:
    """What the tables hold; its saliency images are looked at one by one."""
    found: dict[str, bytes] = {}
    for each in listed.files:
        try:
            found[each.file] = read_unchanged(files, each.file, each.sha256)
        except UnreadableError as error:
            problems.add(f"{each.file} {error}.")
        except WrongDigestError as error:
            problems.add(f"{each.file} {other_digest(error, each.sha256)}.")
    problems.extend(used_twice("file", (image.file for image in listed.saliency)))
    explained = (f"{image.case}, {image.condition}" for image in listed.saliency)
    problems.extend(used_twice("saliency of", explained))
    known = {(case.id, image.condition) for case in contents.cases for image in case.images}
    for image in listed.saliency:
        if (image.case, image.condition) not in known:
            problems.add(
                f"{image.file} is of case {image.case}, {image.condition}, which is no image of "
                "this batch; leave it out."
            )
        problems.extend(wrong_saliency(files, image, shapes))
    return read_evidence(found, listed, contents.manifest, problems)


def wrong_saliency(files: Files, image: SaliencyImage, shapes: Shapes) -> Iterator[str]:
    try:
        content = read_unchanged(files, image.file, image.sha256)
        shape = decode(content, files.limits.pixels).pixels.shape
    except (UnreadableError, NotPlainPngError) as error:
        yield f"{image.file} {error}."
    except WrongDigestError as error:
        yield f"{image.file} {other_digest(error, image.sha256)}."
    else:
        ours = shapes.get((image.case, image.condition), shape)
        if ours != shape:
            yield (
                f"{image.file} is {shape[1]} x {shape[0]} pixels, its image {ours[1]} x {ours[0]}; "
                "make both the same size."
            )
