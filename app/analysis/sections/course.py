"""`order.course`: the share of right answers, and the time, in each tenth of a reader's order."""

from collections import defaultdict

import numpy as np

from app.analysis.exported import Shown
from app.analysis.sections.rows import Rows
from app.analysis.sections.told import Json

PARTS = 10


def course(rows: Rows) -> list[Json]:
    """Nothing of parts and arms in which nothing was labelled."""
    last = rows.last_index
    found: dict[tuple[int, bool], list[Shown]] = defaultdict(list)
    for each in rows.shown:
        if each.label is not None:
            part = (each.index - 1) * PARTS // max(1, last[each.reader])
            found[part + 1, each.condition is not None].append(each)
    return [
        {
            "part": part,
            "arm": "perturbed" if is_perturbed else "original",
            "n": len(labelled),
            "right": sum(each.label == each.truth for each in labelled),
            **median_time(labelled),
        }
        for (part, is_perturbed), labelled in sorted(found.items())
    ]


def median_time(labelled: list[Shown]) -> Json:
    times = [each.reading_time_ms for each in labelled if each.reading_time_ms]
    return {"median_ms": float(np.median(times))} if times else {}
