"""The models of a manifest accept what docs/batch.schema.json accepts."""

import copy
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.batches.manifest import Manifest

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((DOCS / "batch.schema.json").read_text(encoding="utf-8"))
)
TEXTS = ["", "a", "2", "2.0", "2.", "none", "l2", "original", "0" * 64, "a b", "é" * 101, "é" * 600]
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats(-2, 300, allow_nan=False)
    | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=4,
)
NUMBERS = st.sampled_from([-1, 0, 0.0, -0.0, 1, 1.0, 1.5, 2.0, 100, 100.5, 255, 256, True])


@pytest.fixture(scope="module", params=[False, True], ids=["version 1", "version 1.1"])
def valid(
    make_batch: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Any:
    path = make_batch(
        tmp_path_factory.mktemp("valid") / "batch",
        cases=2,
        conditions=2,
        size=8,
        evidence=request.param,
    )
    return json.loads((path / "batch.json").read_text(encoding="utf-8"))


def model_accepts(document: Any) -> bool:
    try:
        Manifest.model_validate(document)
    except ValidationError:
        return False
    return True


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict | list):
        inside = node.items() if isinstance(node, dict) else enumerate(node)
    return [path, *(place for step, inner in inside for place in places(inner, (*path, step)))]


def change_something(document: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    *path, last = draw(st.sampled_from(places(document)[1:]))
    parent = document
    for step in path:
        parent = parent[step]
    match draw(st.sampled_from(["drop", "replace", "number", "repeat", "add"])):
        case "drop":
            del parent[last]
        case "replace":
            parent[last] = draw(ANY_JSON)
        case "number":
            parent[last] = draw(NUMBERS)
        case "repeat" if isinstance(parent, list):
            parent.extend(parent[:1] * draw(st.sampled_from([1, 98, 99, 100])))
        case _ if isinstance(parent, dict):
            parent[draw(st.sampled_from(["more", "id", "epsilon", "norm"]))] = draw(ANY_JSON)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_changed_manifest_is_accepted_by_both_or_by_neither(
    valid: Any, data: st.DataObject
) -> None:
    document = copy.deepcopy(valid)
    for _ in range(data.draw(st.integers(1, 2))):
        change_something(document, data.draw)

    assert model_accepts(document) == SCHEMA.is_valid(document)


@pytest.mark.parametrize("norm", ["none", "l0", "l1", "l2", "linf", "l3"])
@pytest.mark.parametrize("epsilon", [None, "2", "2.5", "02", "1e3", "-1", "1234567", 2])
def test_norm_and_epsilon_are_judged_together_alike(valid: Any, norm: str, epsilon: Any) -> None:
    document = copy.deepcopy(valid)
    document["conditions"][0].update(norm=norm, epsilon=epsilon)

    assert model_accepts(document) == SCHEMA.is_valid(document)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"created_at": "2026-13-01T00:00:00Z"}, "no calendar has month 13"),
        ({"name": "ends in a surrogate \ud800"}, "it cannot be stored"),
    ],
)
def test_what_a_schema_cannot_know_is_refused(valid: Any, change: dict[str, str], why: str) -> None:
    document = valid | change

    assert SCHEMA.is_valid(document), why
    assert not model_accepts(document), why


@pytest.mark.parametrize(
    ("field", "too_large"), [("steps", 2**31), ("seed", 2**64), ("confidence_target", 10**400)]
)
def test_numbers_too_large_to_store_are_refused(valid: Any, field: str, too_large: int) -> None:
    document = copy.deepcopy(valid)
    document["conditions"][0][field] = too_large

    assert not model_accepts(document)


def test_a_line_break_at_the_end_of_a_name_is_refused(valid: Any) -> None:
    document = copy.deepcopy(valid)
    document["cases"][0]["id"] = "c01\n"

    assert not model_accepts(document)
