"""How a leak is put back into an answer on its way."""

import random
from collections.abc import Callable

from benchmarks.blinding import pngs
from benchmarks.blinding.boundary import Reply
from benchmarks.blinding.facts import chunks
from benchmarks.blinding.secrets import Secret

ARMS = ("original", "perturbed")


def header(name: str, value: Callable[[Secret], str]) -> Callable[[Secret, Reply], None]:
    def change(secret: Secret, reply: Reply) -> None:
        reply.headers[name] = value(secret)

    return change


def body(changed: Callable[[Secret, bytes], bytes]) -> Callable[[Secret, Reply], None]:
    def change(secret: Secret, reply: Reply) -> None:
        reply.body = changed(secret, reply.body)

    return change


def page(path: str, old: str, new: str) -> Callable[[Reply], None]:
    """Says something else on one page."""

    def change(reply: Reply) -> None:
        if reply.path == path and reply.is_page:
            reply.body = reply.body.decode().replace(old, new, 1).encode()

    return change


def noise_of(stimulus: int, length: int) -> bytes:
    return random.Random(stimulus).randbytes(length)  # noqa: S311


def shorter_noise(secret: Secret, png: bytes) -> bytes:
    parts = [(k, b[secret.arm :] if k == pngs.NOISE else b) for k, b in chunks(png)]
    return pngs.assembled(parts)
