"""Options that several commands share, and how they tell their outcome."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

PathArgument = partial(click.Path, path_type=Path)


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "Print the outcome as one JSON object; progress stays on stderr."
    return click.option("--json", "as_json", is_flag=True, help=told)(command)


def data_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "A folder of PanNuke folds, or of images with a labels.csv."
    return click.option("--data", type=PathArgument(), required=True, help=told)(command)


def device_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "Where to compute; auto takes CUDA, else MPS, else the CPU."
    choice = click.Choice(["auto", "cpu", "cuda", "mps"])
    return click.option("--device", type=choice, default="auto", show_default=True, help=told)(
        command
    )


def engine_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "local:N for N processes, ray or ray://HOST:PORT for a cluster (docs/scale.md)."
    return click.option("--engine", default="local", show_default=True, help=told)(command)


def tell(as_json: bool, outcome: dict[str, Any], sentence: str) -> None:
    click.echo(json.dumps(outcome) if as_json else sentence)


def given(overrides: dict[str, Any]) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in overrides.items() if value is not None}
