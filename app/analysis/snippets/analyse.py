"""What every reader called tumour, and how often the same image was labelled otherwise.

Run it in, or with, the folder of an export; Python 3.9 or later, nothing else:

    python analyse.py [FOLDER]

It is a start: `plainsight analyse FOLDER` computes everything, with intervals and tests.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Row = dict[str, str]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    with (folder / "presentations.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] and row["excluded"] == "0"]
    sys.stdout.writelines(f"{line}\n" for line in [*counts(rows), "", *flips(rows)])


def counts(rows: list[Row]) -> Iterator[str]:
    yield "reader set truth arm tumour n"
    labels: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in rows:
        arm = row["attack_id"] or "original"
        labels[row["reader_id"], row["set"], row["truth"], arm].append(int(row["label"]))
    for key, found in sorted(labels.items()):
        yield " ".join([*key, str(sum(found)), str(len(found))])


def flips(rows: list[Row]) -> Iterator[str]:
    yield "reader arm flips pairs"
    original = {
        (row["reader_id"], row["set"], row["image_id"]): row["label"]
        for row in rows
        if not row["attack_id"]
    }
    flipped: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in rows:
        same = (row["reader_id"], row["set"], row["image_id"])
        if row["attack_id"] and same in original:
            flipped[row["reader_id"], row["attack_id"]].append(original[same] != row["label"])
    for (reader, arm), found in sorted(flipped.items()):
        yield f"{reader} {arm} {sum(found)} {len(found)}"


if __name__ == "__main__":
    main()
