"""What a run was made of and made by, as its JSON files tell."""

import json
from typing import Any

from ml.experiment import SECTIONS
from ml.figures.rows import MinimalEpsilon, Prediction
from ml.figures.run_folder import RunFolder, in_order

STEPS = (
    "crossval",
    "curves",
    "universal",
    "natural",
    "saliency",
    "embedding",
    "landscape",
    "baselines",
    "defence",
)
Facts = list[tuple[str, str]]


def all_facts(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Of every step that has its file, and of the run and its first network as a whole."""
    cards = sorted(run.path.glob("folds/*/network.json")) + sorted(run.path.glob("*/network.json"))
    names = {"run": "provenance.json", **{step: f"{step}.json" for step in STEPS}}
    if cards:
        names["network"] = str(cards[0].relative_to(run.path))
    return {step: facts for step, name in names.items() if (facts := run.facts(name))}


def settings_of(facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The experiment's sections, each from the first file that has it."""
    sections: dict[str, Any] = {}
    for kept in facts.values():
        for origin in (kept, kept.get("experiment"), kept.get("settings")):
            for name in SECTIONS:
                if isinstance(origin, dict) and isinstance(origin.get(name), dict):
                    sections.setdefault(name, origin[name])
    return {name: sections[name] for name in SECTIONS if name in sections}


def first_of(facts: dict[str, dict[str, Any]], *keys: str) -> str:
    """The first of these facts that any file has."""
    for key in keys:
        for kept in facts.values():
            if isinstance(kept.get(key), str | int | float):
                return str(kept[key])
    return ""


def patch_count(run: RunFolder) -> int:
    """Each patch is held out once a run."""
    rows = run.rows("predictions.csv", Prediction)
    return len([row for row in rows if row.run == rows[0].run]) if rows else 0


def data_flow(run: RunFolder, facts: dict[str, dict[str, Any]]) -> Facts:
    """From the patches to those attacked."""
    told: Facts = []
    name = first_of(facts, "data_name", "data")
    if name:
        told.append(("Data", name))
    predictions = run.rows("predictions.csv", Prediction)
    if predictions:
        first = [row for row in predictions if row.run == predictions[0].run]
        positive = sum(row.truth for row in first)
        folds = in_order([(row.run, row.fold) for row in predictions])
        runs = len({run_number for run_number, _ in folds})
        told += [
            ("Patches", str(len(first))),
            ("with tumour (positive)", str(positive)),
            ("without (negative)", str(len(first) - positive)),
            ("Folds", f"{len(folds)} in {runs} run{'s' if runs > 1 else ''}"),
        ]
    curves = facts.get("curves", {})
    for key, label in (("considered", "Held out and considered"), ("correct", "of these correct")):
        if isinstance(curves.get(key), int):
            told.append((label, str(curves[key])))
    minimal = run.rows("minimal.csv", MinimalEpsilon)
    if minimal:
        told.append(("Attacked in every norm", str(len({row.case for row in minimal}))))
    return told


def network_facts(settings: dict[str, Any], facts: dict[str, dict[str, Any]]) -> Facts:
    network, training = settings.get("network", {}), settings.get("training", {})
    told = [("Network", str(network.get("architecture", ""))), ("Weights", _weights(network))]
    told += [
        (key.replace("_", " ").capitalize(), str(value))
        for key, value in training.items()
        if key not in _without_effect(str(training.get("method")))
    ]
    sha256 = first_of(facts, "network_sha256", "file_sha256")
    return [(name, value) for name, value in [*told, ("SHA-256 of the network", sha256)] if value]


def _without_effect(method: str) -> set[str]:
    """Settings of a training that this method does not look at."""
    match method:
        case "free":
            return {"pgd_steps"}
        case "pgd":
            return {"replays"}
        case _:
            return {"adversarial_epsilon", "replays", "pgd_steps"}


def _weights(network: dict[str, Any]) -> str:
    match network.get("weights"):
        case None:
            return ""
        case "none":
            return "random"
        case "imagenet":
            return "ImageNet"
        case file:
            return str(file)


def environment(facts: dict[str, dict[str, Any]]) -> Facts:
    """Of the first file that tells it; a run is made by one code on one machine as a rule."""
    told_by = (kept["provenance"] for kept in facts.values() if kept.get("provenance"))
    made: dict[str, Any] = next(told_by, {})
    code = made.get("code", {})
    commit = str(code.get("commit") or "")
    if commit and code.get("dirty"):
        commit += " with changes that are in no commit"
    libraries = ", ".join(f"{name} {v}" for name, v in made.get("libraries", {}).items())
    told = [
        ("Plainsight", str(code.get("version", ""))),
        ("Commit", commit),
        ("Seed", first_of(facts, "seed")),
        ("Python", str(made.get("python", ""))),
        ("Platform", str(made.get("platform", ""))),
        ("Threads", str(made.get("threads", ""))),
        ("Libraries", libraries),
        ("SHA-256 of the data", first_of(facts, "data_sha256")),
        *_times(facts),
    ]
    return [(name, value) for name, value in told if value]


def _times(facts: dict[str, dict[str, Any]]) -> Facts:
    parts = [
        f"{step} {facts[step]['seconds']:.0f} s"
        for step in STEPS
        if isinstance(facts.get(step, {}).get("seconds"), int | float)
    ]
    return [("Time", ", ".join(parts))]


def settings_text(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False) if settings else ""
