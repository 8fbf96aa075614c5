"""The sixteen points of a report, filled in from the study; what is not known says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.points_of_design import (
    attack,
    images,
    instructions,
    knowledge,
    planning,
    readers,
    reference,
    registration,
    replicates,
)
from app.analysis.points_of_results import (
    blinding,
    limitations,
    main_results,
    methods,
    missing,
    scores,
    times,
)
from app.analysis.sections.told import Json
from app.storage.models import Study

GUIDELINES = {
    1: "GRRAS 4, 12; DECIDE-AI 3b-c",
    2: "STARD 6-9, 19; CLAIM",
    3: "STARD 10b-11",
    4: "STARD 12",
    5: "STARD 13; GRRAS 8",
    6: "GRRAS 6, 8",
    7: "GRRAS 6; STARD 18",
    8: "GRRAS 10",
    9: "GRRAS 13",
    10: "STARD 15-16",
    11: "MRMC",
    12: "GRRAS 13",
    13: "CLAIM; STARD-AI",
    14: "GRRAS 8",
    15: "STARD 28-30; GRRAS 15",
    16: "STARD 26-27",
}


@dataclass(frozen=True)
class Point:
    """`unknown` is what Plainsight does not know: the authors are to add it."""

    number: int
    title: str
    guidelines: str
    said: Sequence[str]
    unknown: Sequence[str]


def checklist(study: Study, found: Json) -> list[Point]:
    made = (
        readers(study, found),
        images(study, found),
        reference(study),
        instructions(study),
        knowledge(study),
        replicates(study),
        planning(study, found),
        methods(study, found),
        main_results(study, found),
        missing(found),
        scores(found),
        times(found),
        attack(study, found),
        blinding(found),
        registration(study),
        limitations(found),
    )
    return [
        Point(place, title, GUIDELINES[place], said, unknown)
        for place, (title, said, unknown) in enumerate(made, start=1)
    ]
