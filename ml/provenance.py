"""What made a result: code, libraries, machine."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "captum",
    "numpy",
    "pillow",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "torch",
    "torchvision",
    "umap-learn",
)


def provenance() -> dict[str, Any]:
    """JSON-ready; `commit` is null, and `dirty` too, where the code is not in a git clone."""
    import torch

    return {**_code_and_machine(), "threads": torch.get_num_threads()}


@cache
def _code_and_machine() -> dict[str, Any]:
    return {
        "code": {"version": version("plainsight"), **_commit()},
        "libraries": {name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def utc_now() -> str:
    """ISO 8601 to the second, ending in Z."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _commit() -> dict[str, Any]:
    commit, status = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(*arguments: str) -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
