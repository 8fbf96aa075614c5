"""The whole analysis of an export: its JSON, a pure function of the rows and the options."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from app.analysis.exported import Plan, Tidy
from app.analysis.sections.agreement import agreement
from app.analysis.sections.completeness import blinding_check, exclusions, missing
from app.analysis.sections.detection import detection
from app.analysis.sections.flips import flips
from app.analysis.sections.mrmc import mrmc
from app.analysis.sections.order import order
from app.analysis.sections.planning import planning
from app.analysis.sections.roc import roc
from app.analysis.sections.rows import Options, Rows, rows_of
from app.analysis.sections.table import table
from app.analysis.sections.time import time
from app.analysis.sections.told import Json
from app.analysis.sections.tp_difference import tp_difference

FORMAT, FORMAT_VERSION = "plainsight-analysis", "1.1"
PLANNED = ("margin_flips", "margin_tp", "alpha", "catch_least")

SECTIONS: dict[str, Callable[[Rows, Options], object]] = {
    "table": table,
    "flips": flips,
    "tp_difference": tp_difference,
    "mrmc": mrmc,
    "agreement": agreement,
    "roc": roc,
    "detection": detection,
    "time": time,
    "order": order,
    "missing": missing,
    "exclusions": exclusions,
    "blinding_check": blinding_check,
    "planning": planning,
}


def options_of(plan: Plan, **chosen: Any) -> Options:
    """What was chosen (None: not), else what the study's plan says, else what is usual."""
    found = Options()
    for source in ({name: getattr(plan, name) for name in PLANNED}, chosen):
        found = replace(found, **{k: v for k, v in source.items() if v is not None})
    return found


def analyse(tidy: Tidy, options: Options, code: dict[str, str]) -> Json:
    """`code` is what made this: its name, version and commit."""
    rows = rows_of(tidy)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "code": code,
        "options": described(options),
        "inputs": [asdict(each) for each in tidy.files],
        "study": {
            "readers": rows.readers,
            "sets": rows.sets,
            "cases": len(rows.cases()),
            "positives": len(rows.cases(1)),
            "negatives": len(rows.cases(0)),
            "conditions": [
                {"condition": condition} | budget(rows, condition) for condition in rows.conditions
            ],
        },
        **{name: section(rows, options) for name, section in SECTIONS.items()},
    }


def described(options: Options) -> Json:
    networks = options.network
    return {
        "margin_flips": options.margin_flips,
        "margin_tp": options.margin_tp,
        "alpha": options.alpha,
        **({} if options.catch_least is None else {"catch_least": options.catch_least}),
        "seed": options.seed,
        "network_epsilon": networks[0].source if networks else "",
        "network_norm": ", ".join(each.norm for each in networks if each.norm),
    }


def budget(rows: Rows, condition: str) -> Json:
    attack = rows.attacks.get(condition)
    if attack is None:
        return {"attack": None, "norm": None, "epsilon": None, "reason": "study.json tells none."}
    epsilon = {"epsilon": attack.epsilon}
    unlimited = {} if attack.epsilon is not None else {"reason": "It has no budget."}
    return {"attack": attack.attack, "norm": attack.norm} | epsilon | unlimited
