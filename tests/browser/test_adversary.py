"""An adversary with developer tools learns nothing from a reading, and notices leaks put back.

The full run is benchmarks/blinding_adversary.py; this is a small one of it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from app.vocabulary import PairTask
from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.chromium_readers import in_chromium
from benchmarks.blinding.judgement import Judge
from benchmarks.blinding.links import Design
from benchmarks.blinding.mutants import all_mutants
from benchmarks.blinding.orders import of_pairs
from benchmarks.blinding.run import observed, plainly
from benchmarks.blinding.secrets import Secret
from benchmarks.blinding.study import Prepared, prepare

CONFIDENCE = 0.9999  # a suite is run very often, and chance must not make it fail
MUTANTS = {mutant.name: mutant for mutant in all_mutants()}

MakeBatch = Callable[..., Path]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, make_batch: MakeBatch) -> Prepared:
    return prepare(tmp_path_factory.mktemp("plain") / "home", make_batch, cases=5, readers=8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, make_batch: MakeBatch) -> Prepared:
    return prepare(tmp_path_factory.mktemp("small") / "home", make_batch, cases=2, readers=2)


def judge(prepared: Prepared) -> Judge:
    return Judge(prepared.design, seed=0, confidence=CONFIDENCE)


def test_headers_bytes_times_addresses_pages_and_order_tell_nothing(plain: Prepared) -> None:
    judgement = judge(plain).judged(*observed(plain, None, in_chromium()))
    assert judgement.presentations == 160
    assert judgement.problems == []
    assert judgement.told == {}


def test_practice_masking_and_pairs_tell_nothing(tmp_path: Path, make_batch: MakeBatch) -> None:
    whole = prepare(
        tmp_path / "home",
        make_batch,
        cases=4,
        readers=4,
        practice=2,
        feedback=True,
        masking=True,
        pair_task=PairTask.CHOICE,
    )
    judgement = judge(whole).judged(*observed(whole, None, plainly))
    assert judgement.problems == []
    assert judgement.told == {}


@pytest.mark.parametrize(
    "name", ["compressed images", "the right answer after each image", "the consent tells"]
)
def test_a_leak_that_is_put_back_is_noticed(name: str, small: Prepared) -> None:
    visits, key = observed(small, MUTANTS[name], plainly)
    assert judge(small).reason(visits, key)


@pytest.mark.parametrize("name", ["ids that tell the time of import", "a seed that can be guessed"])
def test_a_leak_that_no_list_shows_is_learnt(name: str, plain: Prepared) -> None:
    visits, key = observed(plain, MUTANTS[name], plainly)
    judgement = judge(plain).judged(visits, key)
    assert judgement.problems == []
    assert judgement.told


@pytest.mark.parametrize("name", ["images in Cache Storage", "the image's label tells the arm"])
def test_a_leak_of_the_page_is_noticed(name: str, small: Prepared) -> None:
    visits, key = observed(small, MUTANTS[name], in_chromium())
    assert judge(small).reason(visits, key)


def test_the_notice_is_of_the_leak(small: Prepared) -> None:
    """Where nothing is put back, the same few readers give no alarm."""
    visits, key = observed(small, Mutant("nothing put back", (), script=" "), in_chromium())
    assert judge(small).reason(visits, key) == ""


@pytest.mark.parametrize("task", PairTask)
def test_only_sides_that_take_turns_are_a_pattern(task: PairTask) -> None:
    """Chance alone gives no alarm, however few pairs there are."""
    for cases, readers in ((1, 2), (2, 2), (4, 4), (6, 8)):
        design = Design(cases=cases, versions=2, sets=2, minimum_gap=2)
        for study in range(3):
            sides = [design.reference_sides(task, f"{study}/{n}") for n in range(readers)]
            assert list(of_pairs([of_sides(mine, task) for mine in sides], design)) == []
    turns = [of_sides([place % 2 == 0 for place in range(6)], task)] * 8
    assert len(list(of_pairs(turns, design))) == 2


def of_sides(sides: Sequence[bool], task: PairTask) -> list[Secret]:
    catches = [(0, 0)] if task is PairTask.COMPARE else []
    shown = [(int(is_left), int(not is_left)) for is_left in sides] + catches
    return [
        Secret("", "pairs", 0, place, 0, 0, 0, left, 0, 0, 0, right)
        for place, (left, right) in enumerate(shown)
    ]


def test_leaks_are_many_and_have_names_of_their_own() -> None:
    assert len(MUTANTS) == len(all_mutants()) >= 70
    channels = {channel for mutant in MUTANTS.values() for channel in mutant.channels}
    assert channels <= set(range(1, 38))
