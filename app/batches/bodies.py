"""Large bodies on their way to the disk, in constant memory and without holding the database.

Who sends is asked first, in a transaction that ends at once: a slow line must not keep a place
that readers need.
"""

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import Annotated, BinaryIO

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from app.batches.deliveries import MIB
from app.batches.delivery_folder import DeliveryFolder
from app.errors import Invalid, SignInNeeded
from app.researchers.service import researcher_of_token
from app.web.identity import current_researcher, new_token

DAMAGED = "This was damaged on its way; send it again."
UNKNOWN_TOKEN = "This needs a personal token: send it as Authorization: Bearer TOKEN."  # noqa: S105
BEARER = "bearer "
FORM_FILES = ("file", "original", "perturbed")


@dataclass(frozen=True)
class Piece:
    researcher_id: int
    content: bytes


@dataclass(frozen=True)
class Whole:
    """A file in the folder of the delivery `token`."""

    researcher_id: int
    token: str
    total_bytes: int


@dataclass(frozen=True)
class SentForm:
    """A plain form: its texts, and `whole` unless no file was chosen. `name` is the file's."""

    researcher_id: int
    texts: dict[str, str]
    name: str
    whole: Whole | None


def signed_in(request: Request) -> int:
    with request.app.state.database.reading() as session:
        return current_researcher(request, session).id


def by_token(request: Request) -> int:
    header = request.headers.get("authorization", "")
    token = header[len(BEARER) :].strip() if header.lower().startswith(BEARER) else ""
    with request.app.state.database.writing() as session:
        researcher = researcher_of_token(session, token) if token else None
        if researcher is None:
            raise SignInNeeded(UNKNOWN_TOKEN)
        return researcher.id


def content_digest(sha256: bytes) -> str:
    """The header of RFC 9530."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def require_digest(request: Request, sha256: bytes) -> None:
    """Invalid when the sender said another digest; who says none is believed."""
    said = request.headers.get("content-digest")
    if said is not None and said != content_digest(sha256):
        raise Invalid(DAMAGED)


async def received_piece(request: Request) -> Piece:
    researcher_id = await run_in_threadpool(signed_in, request)
    content = await request.body()
    require_digest(request, hashlib.sha256(content).digest())
    return Piece(researcher_id, content)


async def received_file(request: Request) -> Whole:
    """The body is the file."""
    researcher_id = await run_in_threadpool(by_token, request)
    folder: DeliveryFolder = request.app.state.deliveries
    token = new_token()
    try:
        total = await write_body(request, await run_in_threadpool(folder.make, token))
    except BaseException:
        await run_in_threadpool(folder.discard, token)
        raise
    return Whole(researcher_id, token, total)


async def write_body(request: Request, path: Path) -> int:
    total, sha256, waiting = 0, hashlib.sha256(), bytearray()
    with path.open("xb") as file:

        def write() -> None:
            sha256.update(waiting)
            file.write(waiting)
            waiting.clear()

        async for piece in request.stream():
            waiting += piece
            total += len(piece)
            if len(waiting) >= MIB:
                await run_in_threadpool(write)
        await run_in_threadpool(write)
        await run_in_threadpool(os.fsync, file.fileno())
    require_digest(request, sha256.digest())
    return total


async def received_form(request: Request) -> SentForm:
    """Starlette keeps large files of a form on the disk, and they are moved from there."""
    researcher_id = await run_in_threadpool(signed_in, request)
    async with request.form(max_files=len(FORM_FILES), max_fields=50) as form:
        texts = {name: value for name, value in form.items() if isinstance(value, str)}
        files = {
            name: value
            for name, value in form.items()
            if isinstance(value, UploadFile) and value.filename and name in FORM_FILES
        }
        if not files:
            return SentForm(researcher_id, texts, "", None)
        name = " and ".join(str(file.filename) for file in files.values())
        opened = {each: file.file for each, file in files.items()}
        whole = await run_in_threadpool(saved, request, researcher_id, opened)
        return SentForm(researcher_id, texts, name, whole)


def saved(request: Request, researcher_id: int, files: dict[str, BinaryIO]) -> Whole:
    """One file is the delivery's content; of two the content is a folder of zips."""
    folder: DeliveryFolder = request.app.state.deliveries
    token = new_token()
    content = folder.make(token)
    try:
        if set(files) == {"file"}:
            return Whole(researcher_id, token, copied(files["file"], content))
        content.mkdir()
        total = sum(copied(file, content / f"{name}.zip") for name, file in files.items())
        return Whole(researcher_id, token, total)
    except BaseException:
        folder.discard(token)
        raise


def copied(source: BinaryIO, path: Path) -> int:
    with path.open("xb") as target:
        copyfileobj(source, target, MIB)
        target.flush()
        os.fsync(target.fileno())
        return target.tell()


PieceDep = Annotated[Piece, Depends(received_piece)]
FileDep = Annotated[Whole, Depends(received_file)]
FormDep = Annotated[SentForm, Depends(received_form)]
SenderDep = Annotated[int, Depends(signed_in)]
TokenDep = Annotated[int, Depends(by_token)]
