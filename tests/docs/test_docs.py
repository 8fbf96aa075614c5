"""The documents say what is: settings, commands, links, versions and licences."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from app.settings import Settings
from ml.experiment import read_experiment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.toml"))
REGISTRIES = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian")
NOT_PERMISSIVE = re.compile(r"\b(A?L?GPL|GNU|MPL|EPL|EUPL|CC-BY-NC)", re.IGNORECASE)


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def commands_of(page: Path) -> list[list[str]]:
    """Every `plainsight` command that a page tells people to type."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "plainsight" in line]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("plainsight")]


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    table = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default != "" else "(empty)"
        assert f"| `PLAINSIGHT_{name.upper()}` | {default} | {field.description} |" in table
    assert table.count("| `PLAINSIGHT_") == len(Settings.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_path_in_the_map_of_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = readme.partition("## Find your way")[2].partition("## Words")[0]
    paths = re.findall(r"`((?:app|ml|static|templates)/[\w/.]*)`", rows)
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("command", commands_of(ROOT / "README.md"), ids=" ".join)
def test_every_command_of_the_readme_is_one_that_the_programs_know(command: list[str]) -> None:
    """Each word before the first option or file is a command, and each option is one of its own."""
    words = [word for word in command[1:] if re.fullmatch(r"[a-z]+", word)]
    path = words[: 1 if command[0] == "plainsight-ml" else 2]
    path = path[:1] if path[:1] == ["serve"] else path
    shown = subprocess.run(
        [str(BIN / command[0]), *path, "--help"], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    for option in (word for word in command if word.startswith("--")):
        assert option in shown.stdout


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda p: p.name
)
def test_every_experiment_can_be_read(path: Path) -> None:
    assert read_experiment(path, {})


def test_the_constraints_name_versions_and_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[\w.+!]+", line), line


def test_what_is_installed_is_what_the_constraints_say() -> None:
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    for name in ("fastapi", "SQLAlchemy", "torch", "numpy", "pytest"):
        assert distribution(name).version == pinned[name]


def test_no_file_names_a_registry() -> None:
    for path in tracked_files():
        if path.suffix in {".png", ".npy", ".ttf"} or not path.is_file():
            continue
        assert not REGISTRIES.search(path.read_text(encoding="utf-8")), path


def runtime_distributions() -> set[str]:
    """What the server and `ml` need, and what that needs; CUDA comes with torch and is not ours."""
    found: set[str] = set()
    waiting = ["plainsight"]
    while waiting:
        name = waiting.pop()
        for line in requires(name) or []:
            wanted = Requirement(line)
            is_wanted = wanted.marker is None or wanted.marker.evaluate({"extra": "ml"})
            optional = "extra ==" in line and name != "plainsight"
            is_ours = not wanted.name.startswith(("nvidia", "cuda"))
            if is_wanted and is_ours and not optional and wanted.name not in found:
                found.add(wanted.name)
                waiting.append(wanted.name)
    return found


def test_runtime_licences_are_permissive() -> None:
    checked = 0
    for name in sorted(runtime_distributions()):
        meta = distribution(name).metadata
        named = [text.partition("\n")[0] for text in meta.get_all("License") or []]
        said = [*(meta.get_all("License-Expression") or []), *(meta.get_all("Classifier") or [])]
        told = [line for line in said if "::" not in line or line.startswith("License")]
        licence = " ".join([*named, *told])
        if name == "tqdm":  # docs/decisions/0008
            assert licence == "MPL-2.0 AND MIT"
            continue
        assert not NOT_PERMISSIVE.search(licence), f"{name}: {licence}"
        checked += bool(licence.strip())
    assert checked > 25


def test_docker_compose_runs_this_server_with_postgres() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert services["server"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    known = {f"PLAINSIGHT_{name.upper()}" for name in Settings.model_fields}
    of_uvicorn = {"FORWARDED_ALLOW_IPS"}
    assert set(services["server"]["environment"]) <= known | of_uvicorn


def test_docker_copies_only_what_exists_and_leaves_torch_out() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    assert "[ml]" not in dockerfile
