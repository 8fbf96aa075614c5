"""Leaks in headers, length, encoding and metadata of an image."""

from collections.abc import Callable
from email.utils import formatdate

from benchmarks.blinding import pngs
from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.leaks.common import ARMS, body, header, noise_of, shorter_noise
from benchmarks.blinding.secrets import Secret


def on_images() -> list[Mutant]:
    """Headers, length, encoding and metadata of an image."""
    return [
        Mutant(
            "file name in Content-Disposition",
            (1,),
            image=header(
                "content-disposition", lambda s: f'inline; filename="{s.case}-{ARMS[s.arm]}.png"'
            ),
        ),
        Mutant(
            "file name in the address", (1,), alias=lambda s: f"c{s.case}-{s.arm}-{s.token[:8]}"
        ),
        Mutant("one address for both copies", (2,), alias=lambda s: pngs.digest(s.stimulus)[:32]),
        Mutant(
            "images may be cached",
            (2,),
            image=header("cache-control", lambda _s: "private, max-age=3600, no-transform"),
        ),
        Mutant(
            "ETag of the pixels", (3,), image=header("etag", lambda s: pngs.digest(s.stimulus)[:16])
        ),
        Mutant(
            "Last-Modified of the file",
            (3,),
            image=header("last-modified", lambda s: formatdate(1.7e9 + s.stimulus, usegmt=True)),
        ),
        Mutant(
            "Digest of the pixels",
            (3,),
            image=header("content-digest", lambda s: f"sha-256=:{pngs.digest(s.stimulus)}:"),
        ),
        Mutant("compressed images", (4,), image=body(lambda _s, png: pngs.compressed(png))),
        Mutant("a shorter random chunk by arm", (4, 6), image=body(shorter_noise)),
        Mutant(
            "a proxy may compress images",
            (5,),
            image=header("cache-control", lambda _s: "no-store"),
        ),
        Mutant("no random chunk", (6,), image=body(lambda _s, png: pngs.without(png, pngs.NOISE))),
        Mutant(
            "the random chunk is drawn from the image",
            (6,),
            image=body(lambda s, png: pngs.with_noise(png, noise_of(s.stimulus, len(png)))),
        ),
        Mutant(
            "tEXt names the software by arm",
            (8,),
            image=body(lambda s, png: pngs.with_chunk(png, b"tEXt", b"by\0" + b"ab"[s.arm :])),
        ),
        Mutant(
            "tIME of the file",
            (8,),
            image=body(
                lambda s, png: pngs.with_chunk(
                    png, b"tIME", bytes([7, 234, 11, 24, 12, s.stimulus % 60, s.case % 60])
                )
            ),
        ),
        Mutant(
            "another compressor by arm",
            (8,),
            image=body(lambda s, png: pngs.with_compressor(png, 0x9C) if s.arm else png),
        ),
        Mutant(
            "IDAT in other parts by arm",
            (8,),
            image=body(lambda s, png: pngs.split(png, 2000) if s.arm else png),
        ),
        Mutant(
            "gAMA in one arm only",
            (9,),
            image=body(
                lambda s, png: (
                    pngs.with_chunk(png, b"gAMA", (45455).to_bytes(4, "big")) if s.arm else png
                )
            ),
        ),
        Mutant(
            "alpha in one arm only",
            (10,),
            image=body(lambda s, png: pngs.other_form(png, alpha=True) if s.arm else png),
        ),
        Mutant(
            "one row less in one arm",
            (10,),
            image=body(lambda s, png: pngs.other_form(png, cut=1) if s.arm else png),
        ),
        Mutant("10 ms slower for one arm", (18,), wait=lambda s: 0.01 * s.arm, is_subtle=True),
        Mutant("10 ms slower for the first copy", (18,), wait=later_if_first(), is_subtle=True),
        Mutant(
            "Server-Timing by arm",
            (18, 33),
            image=header("server-timing", lambda s: f"attack;dur={2 + s.arm}"),
        ),
        Mutant(
            "a log's number in a header",
            (33,),
            image=header("x-request-id", lambda s: f"{s.stimulus:08d}"),
        ),
    ]


def later_if_first() -> Callable[[Secret], float]:
    known: set[tuple[int, int]] = set()

    def wait(secret: Secret) -> float:
        is_new = (secret.reader, secret.stimulus) not in known
        known.add((secret.reader, secret.stimulus))
        return 0.01 if is_new else 0.0

    return wait
