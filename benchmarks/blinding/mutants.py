"""Every leak of docs/blinding.md that can be put back, one at a time."""

from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.leaks.browser import in_browser
from benchmarks.blinding.leaks.images import on_images
from benchmarks.blinding.leaks.lists import on_lists
from benchmarks.blinding.leaks.orders import on_orders
from benchmarks.blinding.leaks.pages import on_access, on_pages
from benchmarks.blinding.leaks.parts import on_parts


def all_mutants() -> list[Mutant]:
    return [
        *on_images(),
        *on_lists(),
        *on_orders(),
        *on_pages(),
        *on_parts(),
        *on_access(),
        *in_browser(),
    ]
