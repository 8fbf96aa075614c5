import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ml.errors import MlError
from ml.steps import once, read_table, write_table


@dataclass(frozen=True)
class Line:
    name: str
    size: float
    count: int | None


def counted(told: list[int]) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        told.append(1)
        return {"answer": len(told)}

    return work


def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    told: list[int] = []
    first = once(tmp_path, "step", {"seed": 1, "levels": ("a", "b")}, counted(told))
    again = once(tmp_path, "step", {"seed": 1, "levels": ("a", "b")}, counted(told))
    assert first == again
    assert first["answer"] == len(told) == 1
    assert {"seed", "created_at", "seconds", "provenance"} <= set(first)


def test_other_settings_are_refused_by_name_until_it_starts_fresh(tmp_path: Path) -> None:
    told: list[int] = []
    once(tmp_path, "step", {"seed": 1, "epsilon": "2"}, counted(told))
    with pytest.raises(MlError, match=r"other settings \(epsilon\); choose another folder"):
        once(tmp_path, "step", {"seed": 1, "epsilon": "3"}, counted(told))
    assert once(tmp_path, "step", {"seed": 1, "epsilon": "3"}, counted(told), fresh=True)
    assert len(told) == 2


def test_a_step_that_fails_leaves_nothing_that_counts_as_done(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path, "step", {}, fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"other": 1})])
def test_damaged_facts_are_said_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "step.json").write_text(text)
    with pytest.raises(MlError, match=r"step\.json is damaged .*--fresh"):
        once(tmp_path, "step", {"seed": 1}, dict)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [Line("a, b", 0.1, 3), Line("c", float("inf"), None)]
    write_table(tmp_path / "table.csv", Line, rows)
    assert read_table(tmp_path / "table.csv", Line) == rows
    write_table(tmp_path / "empty.csv", Line, [])
    assert (tmp_path / "empty.csv").read_bytes() == b"name,size,count\r\n"
    assert read_table(tmp_path / "empty.csv", Line) == []


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("name,size\na,much\n")
    with pytest.raises(MlError, match=r"table\.csv cannot be read"):
        read_table(tmp_path / "table.csv", Line)
