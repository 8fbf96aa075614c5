"""Which code made an output."""

import subprocess
from functools import cache
from importlib.metadata import version

from app import ROOT


@cache
def code() -> dict[str, str]:
    """The version, and the commit when this runs from a checkout ("" otherwise)."""
    return {"name": "plainsight", "version": version("plainsight"), "commit": commit()}


def commit() -> str:
    if not (ROOT / ".git").exists():
        return ""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip()
