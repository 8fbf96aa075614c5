"""Leaks in masking, in practice, and in the block of pairs."""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from app.reading import orders as drawing
from app.reading import service
from app.reading.pairs import Pair, pair_order
from app.storage.models import Presentation
from app.vocabulary import Part
from app.web.identity import new_token
from benchmarks.blinding import pngs
from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.leaks.common import body, page, shorter_noise
from benchmarks.blinding.leaks.lists import in_list, of_answered


def on_parts() -> list[Mutant]:
    """Masking, practice, and the block of pairs."""
    return [
        Mutant(
            "one arm is never turned",
            (7,),
            patch=lambda: patch.object(drawing, "orientations", turned_by_arm),
            is_whole=True,
        ),
        Mutant(
            "one orientation for all copies of a case",
            (7,),
            patch=lambda: patch.object(drawing, "orientations", turned_by_case),
            is_whole=True,
        ),
        Mutant(
            "practice shows what is read",
            (25,),
            patch=lambda: patch.object(service, "store_practice", practice_of_read),
            is_whole=True,
        ),
        Mutant(
            "the altered image is always on the left",
            (15,),
            patch=lambda: paired(lambda _number: True),
            is_whole=True,
        ),
        Mutant(
            "sides take turns", (15,), patch=lambda: paired(lambda n: n % 2 == 0), is_whole=True
        ),
        Mutant(
            "a shorter altered image in pairs",
            (4,),
            image=body(lambda s, png: shorter_noise(s, png) if s.part == "pairs" else png),
            is_whole=True,
        ),
        Mutant(
            "feedback goes on after practice",
            (24,),
            told=in_list(feedback=of_answered(lambda s: ("non_tumour", "tumour")[s.truth])),
            is_whole=True,
        ),
        Mutant(
            "the screen check tells of pairs",
            (27,),
            page=page("/reading/check", "</h1>", " for altered images</h1>"),
            is_whole=True,
        ),
    ]


def turned_by_arm(shown: Sequence[tuple[int, int]], *, symmetries: Any, seed: str) -> list[int]:
    chance = random.Random(seed)  # noqa: S311
    return [chance.choice(symmetries) if arm else 0 for _, arm in shown]


def turned_by_case(shown: Sequence[tuple[int, int]], *, symmetries: Any, seed: str) -> list[int]:
    return [symmetries[int(pngs.digest((case, seed)), 16) % len(symmetries)] for case, _ in shown]


def practice_of_read(session: Any, reader: Any) -> None:
    session.add_all(
        Presentation(
            reader_id=reader.id,
            part=Part.PRACTICE,
            sitting=1,
            position=position,
            stimulus_id=stimulus.id,
            orientation=0,
            token=new_token(),
        )
        for position, stimulus in enumerate(reader.study.stimuli[:4:2], start=1)
    )


def paired(is_left: Callable[[int], bool]) -> AbstractContextManager[object]:
    """The altered image lies left in the pairs for which `is_left` says so."""

    def order(versions: Any, **how: Any) -> list[Pair]:
        originals = {images[0] for images in versions.values()}
        return [
            replace(pair, left=pair.right, right=pair.left)
            if (pair.left not in originals) is not is_left(pair.position)
            else pair
            for pair in pair_order(versions, **how)
        ]

    return patch.object(drawing, "pair_order", order)
