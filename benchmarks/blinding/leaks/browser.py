"""Leaks by scripts of the page itself."""

import gzip

from benchmarks.blinding.boundary import Mutant, Reply

OF_KEY = "const { arm, truth, stimulus, set_number } = observer.secret(token)"
RESTORED_ZOOM = (
    "if (set_number > 1) queueMicrotask(() => "
    "document.dispatchEvent(new KeyboardEvent('keydown', { key: '+' })))"
)
SLOWER = "await new Promise((go) => setTimeout(go, 15 * arm))"
NOTED = """
    const opened = indexedDB.open("seen");
    await new Promise((done) => {
      opened.onupgradeneeded = () => opened.result.createObjectStore("seen");
      opened.onsuccess = done;
    });
    opened.result.transaction("seen", "readwrite").objectStore("seen").put(1, stimulus);
    opened.result.close()
"""


def in_browser() -> list[Mutant]:
    """What the page's own scripts could give away."""
    return [
        Mutant(
            "the image's label tells the arm",
            (21,),
            script=drawn("document.querySelector('canvas').ariaLabel = `Image ${'ab'[arm]}`"),
        ),
        Mutant(
            "the title of the document tells the truth",
            (21,),
            script=drawn("document.title = truth ? 'Image reading.' : 'Image reading'"),
        ),
        Mutant(
            "data-case on the page", (21,), script=drawn("document.body.dataset.case = stimulus")
        ),
        Mutant("a name for debugging", (21,), script=drawn("window.present = { arm, truth }")),
        Mutant("the style sheet names an arm", (27,), page=naming_style, script=" "),
        Mutant("the zoom of the first copy is restored", (22,), script=drawn(RESTORED_ZOOM)),
        Mutant("decoding takes longer for one arm", (19,), script=decoded(SLOWER), is_subtle=True),
        Mutant(
            "images in Cache Storage",
            (20,),
            script=decoded(
                "await (await caches.open('images')).put(`/${stimulus}`, new Response('x'))"
            ),
        ),
        Mutant("cases in IndexedDB", (20,), script=decoded(NOTED)),
        Mutant(
            "arms in localStorage", (20,), script=decoded("localStorage.setItem('arm', `${arm}`)")
        ),
    ]


def naming_style(reply: Reply) -> None:
    if reply.path == "/static/plainsight.css":
        is_packed = reply.headers.pop("content-encoding", "") == "gzip"
        style = gzip.decompress(reply.body) if is_packed else reply.body
        reply.body = style + b".perturbed { color: inherit }"


def drawn(act: str) -> str:
    """What is done when an image is about to be drawn for the first time."""
    return f"observer.beforeDrawn.push((token) => {{ {OF_KEY}; {act}; }});"


def decoded(act: str) -> str:
    """What is done before an image is decoded."""
    return f"observer.beforeDecoded.push(async (token) => {{ {OF_KEY}; {act}; }});"
