import json
import re
import subprocess
from typing import Any

import pytest

from ml import provenance as module
from ml.provenance import provenance, utc_now


def test_provenance_names_code_libraries_and_machine() -> None:
    told = json.loads(json.dumps(provenance()))
    assert told["code"]["version"]
    assert {"torch", "torchvision", "numpy", "pillow"} <= told["libraries"].keys()
    assert told["threads"] >= 1


def test_without_git_the_commit_is_unknown_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_git(*_: Any, **__: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", no_git)
    assert module._commit() == {"commit": None, "dirty": None}


def test_the_time_is_utc_as_the_batch_format_wants_it() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())
