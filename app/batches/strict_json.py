"""JSON of strangers, read strictly, and what is wrong with its shape in words."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.batches.problems import Problems

NESTING = 50
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def nodes(document: object) -> Iterator[tuple[int, object]]:
    """Every value and every key of parsed JSON, with its depth."""
    waiting = [(0, document)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        if isinstance(node, dict):
            waiting.extend((depth + 1, child) for child in (*node, *node.values()))
        elif isinstance(node, list):
            waiting.extend((depth + 1, child) for child in node)


def parse_json(content: bytes, problems: Problems, name: str) -> dict[str, Any] | None:
    """Stricter than Python: no NaN, no key twice, nothing that cannot be stored. None if wrong."""
    before = problems.total
    document: object = None
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=lambda pairs: object_of(pairs, problems, name),
            parse_float=finite,
            parse_constant=finite,
        )
    except UnicodeDecodeError:
        problems.add(f"{name} is not UTF-8 text; write it again as UTF-8.")
    except RecursionError:
        problems.add(f"{name} is nested too deeply.")
    except ValueError as error:
        problems.add(f"{name} is not JSON: {error}.")
    else:
        problems.extend(unstorable(document, name))
    return document if isinstance(document, dict) and problems.total == before else None


def object_of(pairs: list[tuple[str, Any]], problems: Problems, name: str) -> dict[str, Any]:
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            problems.add(f'{name} has the key "{key}" {times} times in one object; keep one.')
    return dict(pairs)


def finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number that can be stored")
    return number


def unstorable(document: object, name: str) -> Iterator[str]:
    if not isinstance(document, dict):
        yield f"{name} should hold an object, in braces."
    if any(depth > NESTING for depth, _ in nodes(document)):
        yield f"{name} is nested too deeply."
    if any(isinstance(node, str) and UNSTORABLE.search(node) for _, node in nodes(document)):
        yield f"{name} has a text with a character that cannot be stored (NUL or a surrogate)."


ENTRIES = {
    "cases": ("case", "id"),
    "conditions": ("condition", "id"),
    "perturbed": ("condition", "condition"),
    "files": ("file", "file"),
    "saliency": ("image", "file"),
}
WORDS = {
    "missing": "the field is missing",
    "extra_forbidden": "is not a field of this format; remove it",
    "string_type": "should be text",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
}


def in_words_of(name: str, document: dict[str, Any], error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        yield in_words(name, document, detail)


def in_words(name: str, document: dict[str, Any], detail: ErrorDetails) -> str:
    """Such as "case c07, condition linf-2, sha256: the field is missing"."""
    kind, message = detail["type"], detail["msg"].replace(" after validation", "")
    what = WORDS.get(kind) or re.sub(r"^(Input|String|Value) should", "should", message)
    return f"{', '.join(place(name, document, detail['loc']))}: {what}."


def place(file: str, document: object, path: tuple[int | str, ...]) -> list[str]:
    words = [file]
    node = document
    for step in path:
        node = child(node, step)
        if isinstance(step, int):
            noun, key = ENTRIES[words.pop()]
            name = node.get(key) if isinstance(node, dict) else None
            words.append(f"{noun} {name}" if isinstance(name, str) else f"{noun} number {step + 1}")
        else:
            words.append(step)
    return words


def child(node: Any, step: int | str) -> object:
    try:
        return node[step]
    except (KeyError, IndexError, TypeError):
        return None
