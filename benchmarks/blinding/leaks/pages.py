"""Leaks in words, and in what may be opened by somebody who is not meant to."""

from collections.abc import Callable

from benchmarks.blinding.boundary import Mutant, Reply
from benchmarks.blinding.leaks.common import page


def on_pages() -> list[Mutant]:
    """Words, addresses and errors."""
    return [
        Mutant(
            "the start page counts the copies",
            (26,),
            page=page("/reading", "</p>", " Each image is shown twice.</p>"),
        ),
        Mutant(
            "a title that tells",
            (27,),
            page=page("/reading", "Tissue images", "Adversarial tissue images"),
        ),
        Mutant(
            "the consent tells",
            (27,),
            page=page("/reading", "for research", "for research on attacks"),
        ),
        Mutant(
            "another host",
            (33,),
            page=page(
                "/reading/room",
                "</head>",
                '<script src="https://cdn.example/x.js"></script></head>',
            ),
        ),
    ]


def on_access() -> list[Mutant]:
    """What somebody may open who is not meant to."""
    return [
        Mutant("the description of the server is open", (28,), page=opened("/docs")),
        Mutant("a schema is open", (28,), page=opened("/openapi.json")),
        Mutant("refusals tell whose image it is", (28,), page=telling_refusal),
        Mutant("an error tells the trace", (28,), page=tracing),
        Mutant("a reader sees the study's page", (30, 31), page=opened("/studies/1")),
        Mutant("a reader sees the results", (32,), page=opened("/studies/1/results")),
        Mutant("a reader may export", (34,), page=opened("/reading/export")),
        Mutant("the answer to a problem names the file", (35,), page=naming_file),
        Mutant("the referrer is sent", (33,), page=without_header("referrer-policy")),
        Mutant("scripts of others may run", (33,), page=without_header("content-security-policy")),
    ]


def opened(path: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        if reply.path == path:
            reply.status, reply.body = 200, b"Plainsight"
            reply.headers.pop("location", None)

    return change


def telling_refusal(reply: Reply) -> None:
    if "/images/" in reply.path and reply.status == 404 and "0" * 32 not in reply.path:
        reply.status = 403


def naming_file(reply: Reply) -> None:
    if reply.path == "/reading/problems":
        reply.body = reply.body.replace(b'"tokens"', b'"file":"c3-1.png","tokens"', 1)


def tracing(reply: Reply) -> None:
    if reply.status == 404:
        reply.body += f"<!-- no {reply.path} in perturbed/ -->".encode()


def without_header(name: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        reply.headers.pop(name, None)

    return change
