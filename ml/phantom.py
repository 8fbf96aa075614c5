"""Generated H&E-like tissue in PanNuke's layout, so that everything runs with no download.

Lengths are in micrometres unless a name says pixels; every patch shows 64 x 64 micrometres, as a
PanNuke patch does. Stains are concentrations that add up as optical densities (Beer-Lambert).
"""

import itertools
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from ml.data import label_by_rule
from ml.errors import MlError

FIELD = 64.0
NEOPLASTIC, INFLAMMATORY, CONNECTIVE, DEAD, EPITHELIAL, BACKGROUND = range(6)

# Optical densities (log10; red, green, blue): haematoxylin after Macenko et al. 2009, eosin and
# red blood cells as measured on PanNuke's breast patches.
HAEMATOXYLIN = np.array([0.5626, 0.7201, 0.4062])
EOSIN = np.array([0.15, 0.83, 0.54])
BLOOD = np.array([0.13, 0.74, 0.62])

Map = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Nucleus:
    """One nucleus: half axes `a` and `b`, `angle` of `a` against the x axis."""

    kind: int
    y: float
    x: float
    a: float
    b: float
    angle: float


@dataclass(frozen=True)
class Blob:
    """An oval compartment: gland, tumour nest, fat cell.

    `radius` is the geometric mean of its half axes, `stretch` their ratio, `turn` the angle of
    the long one against the x axis, `lumen` the radius of its hole.
    """

    y: float
    x: float
    radius: float
    lumen: float = 0.0
    stretch: float = 1.0
    turn: float = 0.0


@dataclass
class Scene:
    """What lies where in one patch."""

    glands: list[Blob] = field(default_factory=list)
    nests: list[Blob] = field(default_factory=list)
    fat: list[Blob] = field(default_factory=list)
    nuclei: list[Nucleus] = field(default_factory=list)


@dataclass(frozen=True)
class Canvas:
    """Pixel positions in micrometres, and seamless noise to cut textures from."""

    pixels: int
    scale: float
    y: Map
    x: Map
    cloud: Map
    grain: Map
    clump: Map
    fibre: Map
    bundle: Map

    def cut(self, texture: Map, rng: Generator) -> Map:
        """A random window of a texture: mean 0, standard deviation 1."""
        top, left = rng.integers(0, texture.shape[0] - self.pixels, size=2)
        return texture[top : top + self.pixels, left : left + self.pixels]


@dataclass
class Stains:
    """Concentrations of the stains, each (height, width)."""

    haematoxylin: Map
    eosin: Map
    blood: Map

    def cover(self, share: Map, haematoxylin: Map | float, eosin: Map | float) -> None:
        """Replaces what lies there, by `share` (0 to 1) of each pixel."""
        self.haematoxylin += share * (haematoxylin - self.haematoxylin)
        self.eosin += share * (eosin - self.eosin)
        self.blood *= 1 - share


def write_phantom(
    out: Path,
    *,
    patches_per_fold: int = 96,
    folds: int = 3,
    size: int = 128,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the folds whole or not at all; half of the patches tumour, half none, a few 1 to 4."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MlError(f"{out} exists already and is not empty; choose another folder.")
    if size < 64 or patches_per_fold < 3 or folds < 1:
        raise MlError(
            "A phantom needs 1 fold, 3 patches a fold and 64 pixels at least; ask for more."
        )
    canvas = _canvas(size, np.random.default_rng(seed))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as beside:
        whole = Path(beside) / out.name
        for fold in range(1, folds + 1):
            report = _offset(progress, (fold - 1) * patches_per_fold, folds * patches_per_fold)
            _write_fold(whole, canvas, patches_per_fold, fold, seed, report)
        description = {
            "name": "Phantom",
            "about": "Generated tissue, from no patient: for trying things out, not for findings.",
            "seed": seed,
            "patches_per_fold": patches_per_fold,
            "folds": folds,
            "size": size,
            "micrometres_per_pixel": FIELD / size,
            "code_version": version("plainsight"),
        }
        (whole / "phantom.json").write_text(json.dumps(description, indent=2) + "\n", "utf-8")
        whole.replace(out)


def _offset(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int], None]:
    def report(done: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return report


def _write_fold(
    out: Path, canvas: Canvas, count: int, fold: int, seed: int, report: Callable[[int], None]
) -> None:
    images = np.empty((count, canvas.pixels, canvas.pixels, 3), np.uint8)
    masks = np.empty((count, canvas.pixels, canvas.pixels, 6), np.int16)
    for i, label in enumerate(_labels(count, np.random.default_rng([seed, fold]))):
        images[i], masks[i] = _draw_patch(canvas, int(label), (seed, fold, i))
        report(i + 1)
    of_images, of_masks = (
        out / f"Fold {fold}" / what / f"fold{fold}" for what in ("images", "masks")
    )
    of_images.mkdir(parents=True)
    of_masks.mkdir(parents=True)
    np.save(of_images / "images.npy", images)
    np.save(of_images / "types.npy", np.full(count, "Breast"))
    np.save(of_masks / "masks.npy", masks)


def _labels(count: int, rng: Generator) -> NDArray[np.int64]:
    """Shuffled: one in sixteen with 1 to 4 tumour nuclei (-1), the rest half and half."""
    few = max(1, count // 16)
    labels = np.arange(count) % 2
    labels[:few] = -1
    return rng.permutation(labels)


def _draw_patch(
    canvas: Canvas, label: int, key: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Draws until the nuclei that can be seen give the label wanted; nearly always at once."""
    for attempt in itertools.count():
        rng = np.random.default_rng([*key, attempt])
        scene = _compose(canvas, label, rng)
        flow_across, flow_along = _fibre_flow(canvas, scene, rng)
        _add_stroma_nuclei(canvas, scene, flow_across, rng)
        ids, depth, drawn = _rasterise(canvas, scene.nuclei, rng)
        tumour_nuclei = sum(nucleus.kind == NEOPLASTIC for nucleus in drawn)
        if int(label_by_rule(np.array(tumour_nuclei))) == label:
            break
    stains = _stroma(canvas, flow_across, flow_along, rng)
    _add_fat(canvas, stains, scene.fat, rng)
    _add_epithelium(canvas, stains, scene, rng)
    _add_blood(canvas, stains, scene, rng)
    _add_nuclei(canvas, stains, ids, depth, drawn, rng)
    return _develop(canvas, stains, rng), _masks(ids, drawn)


# Where things lie.


def _compose(canvas: Canvas, label: int, rng: Generator) -> Scene:
    scene = Scene()
    if rng.random() < 0.25:
        scene.fat = [_at_border(rng, float(rng.uniform(9, 18))) for _ in range(rng.integers(1, 3))]
    match label:
        case 1:
            _compose_tumour(canvas, scene, rng)
        case 0:
            _compose_benign(canvas, scene, rng)
        case _:
            anywhere = np.ones((canvas.pixels, canvas.pixels), np.bool_)
            _fill(canvas, scene, anywhere, rng, NEOPLASTIC, int(rng.integers(1, 5)), margin=6.0)
    return scene


def _compose_tumour(canvas: Canvas, scene: Scene, rng: Generator) -> None:
    """Solid sheets, nests, or single cells in file."""
    way = rng.choice(["sheet", "nests", "nests", "single"])
    if way == "sheet":
        scene.nests = [_at_border(rng, float(rng.uniform(36, 60)))]
    elif way == "nests":
        scene.nests = [_blob(rng, 12, 20, 1.8) for _ in range(rng.integers(2, 4))]
    else:
        scene.nests = [_blob(rng, 5.5, 8, 2.6) for _ in range(rng.integers(7, 11))]
    if way != "sheet" and rng.random() < 0.25:
        _compose_glands(scene, rng, 1)
    inside = _distance(canvas, scene.nests) < -2
    inside &= _distance(canvas, scene.fat + scene.glands) > 2
    _fill(canvas, scene, inside, rng, NEOPLASTIC, int(rng.integers(16, 48)))
    _fill(canvas, scene, inside, rng, DEAD, int(rng.choice([0, 0, 1, 2])))


def _compose_benign(canvas: Canvas, scene: Scene, rng: Generator) -> None:
    """Glands, a lymphocyte-rich field, fat, or fibres alone."""
    way = rng.choice(["glands", "glands", "acini", "lymphoid", "fat", "fibres"])
    if way == "glands":
        _compose_glands(scene, rng, int(rng.integers(1, 4)))
    elif way == "acini":
        scene.glands = [_blob(rng, 10, 17, 1.6) for _ in range(rng.integers(3, 7))]
        inside = _distance(canvas, scene.glands) < -2.2
        _fill(canvas, scene, inside, rng, EPITHELIAL, 90)
    elif way == "lymphoid":
        anywhere = _distance(canvas, scene.fat) > 2
        _fill(canvas, scene, anywhere, rng, INFLAMMATORY, int(rng.integers(30, 90)))
    elif way == "fat":
        scene.fat += [_at_border(rng, float(rng.uniform(14, 26))) for _ in range(3)]
    if rng.random() < 0.25:
        anywhere = _distance(canvas, scene.glands + scene.fat) > 3
        _fill(canvas, scene, anywhere, rng, DEAD, 1)


def _compose_glands(scene: Scene, rng: Generator, count: int) -> None:
    """Rings of epithelial nuclei around a lumen, long axis towards it."""
    for _ in range(count):
        oval = _blob(rng, 11, 18, 1.6)
        gland = replace(oval, lumen=oval.radius - float(rng.uniform(7.5, 10)))
        if any(
            np.hypot(gland.y - other.y, gland.x - other.x) < gland.radius + other.radius
            for other in scene.glands
        ):
            continue
        scene.glands.append(gland)
        steps = int(2 * np.pi * (gland.radius - 3.6) / rng.uniform(4.0, 5.0))
        for turn in np.arange(steps) * 2 * np.pi / steps + rng.normal(0, 0.1, steps):
            y, x = _on_oval(gland, gland.radius - 3.8 + rng.normal(0, 0.9), turn)
            leaning = turn + gland.turn + rng.normal(0, 0.25)
            _place(scene, Nucleus(EPITHELIAL, y, x, *_axes(EPITHELIAL, rng), leaning))


def _on_oval(blob: Blob, radius: float, turn: float) -> tuple[float, float]:
    u = radius * np.cos(turn) * np.sqrt(blob.stretch)
    v = radius * np.sin(turn) / np.sqrt(blob.stretch)
    sine, cosine = np.sin(blob.turn), np.cos(blob.turn)
    return blob.y + float(u * sine + v * cosine), blob.x + float(u * cosine - v * sine)


def _add_stroma_nuclei(canvas: Canvas, scene: Scene, flow_across: Map, rng: Generator) -> None:
    """Spindles along the fibres and a few lymphocytes, outside of all compartments."""
    outside = _distance(canvas, scene.glands + scene.nests + scene.fat) > 1.5
    down, right = np.gradient(flow_across)
    along = np.arctan2(right, -down) + np.pi
    _fill(canvas, scene, outside, rng, CONNECTIVE, int(rng.integers(3, 13)), angles=along)
    _fill(canvas, scene, outside, rng, INFLAMMATORY, int(rng.choice([0, 1, 3, 8])))


def _at_border(rng: Generator, radius: float) -> Blob:
    """A blob that the edge of the patch cuts."""
    turn = rng.uniform(0, 2 * np.pi)
    out = radius + FIELD / 2 - rng.uniform(0.5, 0.95) * min(2 * radius, FIELD * 0.75)
    middle = FIELD / 2
    return Blob(middle + out * float(np.sin(turn)), middle + out * float(np.cos(turn)), radius)


def _blob(rng: Generator, smallest: float, largest: float, longest: float) -> Blob:
    """Anywhere, with the radius and the ratio of its axes between these bounds."""
    y, x = rng.uniform(4, FIELD - 4, 2)
    radius, stretch = rng.uniform(smallest, largest), rng.uniform(1, longest)
    turn = rng.uniform(0, np.pi)
    return Blob(y, x, float(radius), stretch=float(stretch), turn=float(turn))


def _distance(canvas: Canvas, blobs: list[Blob]) -> Map:
    """To the nearest outline, negative inside; a little off where blobs are far from round."""
    nearest = np.full_like(canvas.y, 1e3)
    for blob in blobs:
        nearest = np.minimum(nearest, _distance_to(canvas, blob))
    return nearest


def _distance_to(canvas: Canvas, blob: Blob) -> Map:
    y, x = canvas.y - np.float32(blob.y), canvas.x - np.float32(blob.x)
    sine, cosine = np.float32(np.sin(blob.turn)), np.float32(np.cos(blob.turn))
    longer = np.float32(np.sqrt(blob.stretch))
    u, v = (x * cosine + y * sine) / longer, (y * cosine - x * sine) * longer
    return np.sqrt(u * u + v * v) - np.float32(blob.radius)


def _fill(
    canvas: Canvas,
    scene: Scene,
    allowed: NDArray[np.bool_],
    rng: Generator,
    kind: int,
    count: int,
    *,
    angles: Map | None = None,
    margin: float = -3.0,
) -> None:
    """Throws up to `count` nuclei at the allowed pixels, where none is in the way."""
    places = rng.uniform(margin, FIELD - margin, (12 * count, 2))
    pixels = np.clip(places * canvas.scale, 0, canvas.pixels - 1).astype(int)
    possible = np.flatnonzero(allowed[pixels[:, 0], pixels[:, 1]])
    placed = 0
    for i in possible:
        angle = rng.uniform(0, np.pi) if angles is None else angles[pixels[i, 0], pixels[i, 1]]
        turned = float(angle + rng.normal(0, 0.15))
        y, x = float(places[i, 0]), float(places[i, 1])
        placed += _place(scene, Nucleus(kind, y, x, *_axes(kind, rng), turned))
        if placed == count:
            return


def _place(scene: Scene, nucleus: Nucleus) -> bool:
    reach = math.sqrt(nucleus.a * nucleus.b)
    for other in scene.nuclei:
        needed = 0.97 * (reach + math.sqrt(other.a * other.b))
        if (nucleus.y - other.y) ** 2 + (nucleus.x - other.x) ** 2 < needed**2:
            return False
    scene.nuclei.append(nucleus)
    return True


def _axes(kind: int, rng: Generator) -> tuple[float, float]:
    """Half axes: tumour nuclei are large and of all sizes, benign epithelium medium and even."""
    match kind:
        case 0:  # NEOPLASTIC
            a, aspect = 5.2 * np.exp(rng.normal(0, 0.2)), rng.uniform(0.62, 0.95)
        case 1:  # INFLAMMATORY
            a, aspect = rng.uniform(1.8, 2.6), rng.uniform(0.78, 1)
        case 2:  # CONNECTIVE
            a, aspect = rng.uniform(3.2, 5.4), rng.uniform(0.2, 0.32)
        case 3:  # DEAD
            a, aspect = rng.uniform(1.8, 2.6), rng.uniform(0.8, 1)
        case _:
            a, aspect = rng.normal(3.1, 0.15), rng.uniform(0.74, 0.86)
    return float(a), float(a * aspect)


# Nuclei as pixels.


def _rasterise(
    canvas: Canvas, nuclei: list[Nucleus], rng: Generator
) -> tuple[NDArray[np.int16], Map, list[Nucleus]]:
    """Instance ids (0 none), depth below the nuclear membrane in pixels, and the nuclei drawn.

    Who comes first stays whole, the next gives way; what would hardly be seen is not drawn.
    """
    ids = np.zeros((canvas.pixels, canvas.pixels), np.int16)
    depth = np.zeros((canvas.pixels, canvas.pixels), np.float32)
    drawn: list[Nucleus] = []
    for nucleus in nuclei:
        window = _window(canvas, nucleus)
        inner = _depth(canvas, nucleus, window, rng)
        free = (inner > 0) & (ids[window] == 0)
        if free.sum() < 0.35 * np.pi * nucleus.a * nucleus.b * canvas.scale**2:
            continue
        drawn.append(nucleus)
        ids[window][free] = len(drawn)
        depth[window][free] = inner[free]
    return ids, depth, drawn


def _window(canvas: Canvas, nucleus: Nucleus) -> tuple[slice, slice]:
    reach = 1.5 * nucleus.a
    low_y, low_x, high_y, high_x = (
        int(np.clip(p * canvas.scale, 0, canvas.pixels))
        for p in (nucleus.y - reach, nucleus.x - reach, nucleus.y + reach, nucleus.x + reach)
    )
    return slice(low_y, high_y), slice(low_x, high_x)


def _depth(canvas: Canvas, nucleus: Nucleus, window: tuple[slice, slice], rng: Generator) -> Map:
    """Pixels below the membrane, an ellipse with waves; a dead nucleus is in fragments."""
    y, x = canvas.y[window] - nucleus.y, canvas.x[window] - nucleus.x
    if nucleus.kind == DEAD:
        spots = rng.normal(0, 0.55 * nucleus.a, (3, 2))
        sizes = nucleus.a * np.array([0.8, 0.55, 0.4])
        parts = [s - np.hypot(y - p[0], x - p[1]) for p, s in zip(spots, sizes, strict=True)]
        return np.asarray(np.max(parts, axis=0) * canvas.scale, np.float32)
    sine, cosine = np.sin(nucleus.angle), np.cos(nucleus.angle)
    u, v = (x * cosine + y * sine) / nucleus.a, (y * cosine - x * sine) / nucleus.b
    turn = np.arctan2(v, u)
    rough = {NEOPLASTIC: 0.07, CONNECTIVE: 0.06}.get(nucleus.kind, 0.025)
    outline = 1 + sum(
        rng.normal(0, rough / np.sqrt(k - 1)) * np.cos(k * turn + rng.uniform(0, 6.3))
        for k in range(2, 6)
    )
    return np.asarray((outline - np.hypot(u, v)) * nucleus.b * canvas.scale, np.float32)


def _masks(ids: NDArray[np.int16], drawn: list[Nucleus]) -> NDArray[np.int16]:
    """PanNuke's six channels: ids in the channel of their class, 1 on background in the last."""
    kinds = np.array([BACKGROUND, *(nucleus.kind for nucleus in drawn)])[ids]
    masks = np.where(kinds[..., None] == np.arange(6), ids[..., None], 0).astype(np.int16)
    masks[..., BACKGROUND] = ids == 0
    return masks


# How things look.


def _canvas(size: int, rng: Generator) -> Canvas:
    scale = size / FIELD
    centres = (np.arange(size, dtype=np.float32) + 0.5) / np.float32(scale)
    y, x = np.meshgrid(centres, centres, indexing="ij")

    def noise(*sigmas: tuple[float, float]) -> Map:
        layers = [
            ndimage.gaussian_filter(
                rng.standard_normal((4 * size, 4 * size)),
                (down * scale, right * scale),
                mode="wrap",
            )
            for down, right in sigmas
        ]
        mixed = sum(layer / layer.std() for layer in layers)
        return np.asarray(mixed / np.std(mixed), np.float32)

    return Canvas(
        size,
        scale,
        y,
        x,
        cloud=noise((6, 6)),
        grain=noise((0.25, 0.25)),
        clump=noise((0.55, 0.55), (0.9, 0.9)),
        fibre=noise((0.2, 2.5), (0.3, 5)),
        bundle=noise((0.8, 6), (1.3, 14)),
    )


def _fibre_flow(canvas: Canvas, scene: Scene, rng: Generator) -> tuple[Map, Map]:
    """Coordinates across and along the fibres, which flow around the compartments."""
    turn = rng.uniform(0, np.pi)
    sine, cosine = np.float32(np.sin(turn)), np.float32(np.cos(turn))
    across = canvas.y * cosine - canvas.x * sine
    along = canvas.x * cosine + canvas.y * sine
    wave = rng.uniform(0.6, 2.6)
    flow_across = across + wave * canvas.cut(canvas.cloud, rng)
    flow_along = along.copy()
    for blob in scene.glands + scene.nests + scene.fat:
        y, x = canvas.y - blob.y, canvas.x - blob.x
        near = blob.radius**2 / np.maximum(y**2 + x**2, blob.radius**2)
        flow_across -= (y * cosine - x * sine) * near
        flow_along += (x * cosine + y * sine) * near
    return np.asarray(flow_across, np.float32), np.asarray(flow_along, np.float32)


def _stroma(canvas: Canvas, across: Map, along: Map, rng: Generator) -> Stains:
    """Collagen: wavy eosinophilic fibres, with white slits where they part."""
    start = rng.uniform(0, 4 * FIELD, 2)
    places = np.stack([(across + start[0]) * canvas.scale, (along + start[1]) * canvas.scale])
    fibre, bundle = (
        ndimage.map_coordinates(texture, places, order=1, mode="grid-wrap")
        for texture in (canvas.fibre, canvas.bundle)
    )
    loose = rng.choice([1.2, 1.8, 2.4, 3.0])
    slit = _step((-bundle - 0.5 * fibre - 0.7 * canvas.cut(canvas.cloud, rng) - loose) * 3)
    texture = 0.17 * fibre + 0.12 * bundle + 0.12 * canvas.cut(canvas.grain, rng)
    density = rng.uniform(0.17, 0.31) * (1 + texture + 0.12 * canvas.cut(canvas.cloud, rng))
    eosin = np.clip(density, 0.04, None) * (1 - 0.93 * slit)
    haematoxylin = rng.uniform(0.01, 0.06) * (1 + 0.4 * fibre) * (1 - slit)
    return Stains(
        np.asarray(haematoxylin, np.float32),
        np.asarray(eosin, np.float32),
        np.zeros_like(canvas.y),
    )


def _step(values: Map) -> Map:
    """From 0 to 1, smoothly, around 0."""
    return np.asarray(0.5 + 0.5 * np.tanh(values), np.float32)


def _add_fat(canvas: Canvas, stains: Stains, fat: list[Blob], rng: Generator) -> None:
    """White, with a thin membrane around each cell and between two."""
    if not fat:
        return
    distances = np.sort([_distance_to(canvas, cell) for cell in fat], axis=0)
    outside = distances[0] + 0.8 * canvas.cut(canvas.cloud, rng)
    stains.cover(_step(-outside / 0.35), 0.01, 0.015)
    membrane = np.exp(-((outside / 0.5) ** 2))
    if len(fat) > 1:
        membrane = np.maximum(membrane, _step(-outside) * _ridge(distances[1] - distances[0]))
    stains.cover(0.8 * membrane, 0.05, 0.22)


def _ridge(difference: Map) -> Map:
    """1 where two distances are equal, 0 elsewhere."""
    return np.asarray(np.exp(-((difference / 0.9) ** 2)))


def _add_epithelium(canvas: Canvas, stains: Stains, scene: Scene, rng: Generator) -> None:
    """Cytoplasm with cell borders, lumens, and here and there a gap against the stroma."""
    for blobs, kind, haematoxylin, eosin in (
        (scene.glands, EPITHELIAL, rng.uniform(0.06, 0.18), rng.uniform(0.12, 0.28)),
        (scene.nests, NEOPLASTIC, rng.uniform(0.08, 0.22), rng.uniform(0.12, 0.28)),
    ):
        if not blobs:
            continue
        distance = _distance(canvas, blobs) + 1.7 * canvas.cut(canvas.cloud, rng)
        gap = _step((canvas.cut(canvas.cloud, rng) - rng.uniform(0.3, 1.5)) * 4)
        stains.cover(0.95 * gap * np.exp(-(((distance - 0.9) / 0.9) ** 2)), 0.01, 0.02)
        texture = 1 + 0.13 * canvas.cut(canvas.grain, rng) + 0.13 * canvas.cut(canvas.clump, rng)
        border = _cell_borders(canvas, [n for n in scene.nuclei if n.kind == kind])
        vacuole = _step((canvas.cut(canvas.clump, rng) - rng.uniform(1.3, 2.6)) * 2)
        pale = (1 - 0.35 * border) * (1 - 0.7 * vacuole) * np.clip(texture, 0.1, None)
        stains.cover(_step(-distance / 0.4), haematoxylin * pale, eosin * pale)
    for gland in scene.glands:
        if gland.lumen > 0.5:
            hole = replace(gland, radius=gland.lumen)
            distance = _distance(canvas, [hole]) + 0.7 * canvas.cut(canvas.cloud, rng)
            stains.cover(_step(-distance / 0.4), 0.01, float(rng.choice([0.01, 0.02, 0.1])))


def _cell_borders(canvas: Canvas, nuclei: list[Nucleus]) -> Map:
    """1 halfway between neighbouring nuclei, 0 elsewhere."""
    if len(nuclei) < 2:
        return np.zeros_like(canvas.y)
    first, second = (np.full_like(canvas.y, 1e3) for _ in range(2))
    for nucleus in nuclei:
        distance = _distance_to(canvas, Blob(nucleus.y, nucleus.x, 0.5 * nucleus.a))
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return _ridge(second - first)


def _add_blood(canvas: Canvas, stains: Stains, scene: Scene, rng: Generator) -> None:
    """Now and then a capillary with red cells."""
    if rng.random() > 0.2:
        return
    y, x = rng.uniform(6, FIELD - 6, 2)
    cells = [
        Blob(float(rng.normal(y, 3.5)), float(rng.normal(x, 3.5)), 2.6)
        for _ in range(rng.integers(1, 5))
    ]
    outside = _step(_distance(canvas, scene.glands + scene.nests + scene.fat))
    distance = _distance(canvas, cells)
    stains.cover(outside * _step((1.5 - distance) / 0.5), 0.01, 0.02)
    stains.blood += outside * _step(-distance / 0.3) * np.float32(rng.uniform(0.6, 0.95))


def _add_nuclei(
    canvas: Canvas,
    stains: Stains,
    ids: NDArray[np.int16],
    depth: Map,
    drawn: list[Nucleus],
    rng: Generator,
) -> None:
    """Membrane, chromatin and nucleoli; a dead cell has a dense pink body around its fragments."""
    # Per class: haematoxylin, its spread, membrane, coarseness of the chromatin.
    looks = np.array(
        [
            [0.50, 0.10, 0.30, 0.30],
            [0.84, 0.12, 0.08, 0.24],
            [0.58, 0.14, 0.12, 0.16],
            [1.15, 0.08, 0.00, 0.05],
            [0.56, 0.06, 0.22, 0.12],
        ]
    )
    for nucleus in drawn:
        if nucleus.kind == DEAD:
            body = _distance(canvas, [Blob(nucleus.y, nucleus.x, 2.1 * nucleus.a)])
            stains.cover(0.85 * _step(-body / 0.5), 0.06, 0.5)
    strength = np.float32(rng.uniform(0.85, 1.2))
    kinds = np.array([0, *(nucleus.kind for nucleus in drawn)])
    base = looks[kinds, 0] + looks[kinds, 1] * rng.standard_normal(len(kinds))
    membrane = np.exp(-((depth / canvas.scale / 0.45) ** 2))
    chromatin = looks[kinds, 3][ids] * canvas.cut(canvas.clump, rng)
    dense = base[ids] * (1 + chromatin) + looks[kinds, 2][ids] * membrane
    dense += _nucleoli(canvas, ids, drawn, rng)
    share = ndimage.gaussian_filter(np.asarray(ids > 0, np.float32), 0.5)
    haematoxylin = np.asarray(np.clip(dense, 0.15, 1.5) * strength, np.float32)
    stains.cover(share, haematoxylin, 0.12)


def _nucleoli(canvas: Canvas, ids: NDArray[np.int16], drawn: list[Nucleus], rng: Generator) -> Map:
    """Haematoxylin on top: one or two to most tumour nuclei, small ones to some benign."""
    extra = np.zeros_like(canvas.y)
    for number, nucleus in enumerate(drawn, start=1):
        often, radius = {NEOPLASTIC: (0.8, 0.95), EPITHELIAL: (0.25, 0.5)}.get(nucleus.kind, (0, 0))
        for _ in range(rng.integers(1, 3)):
            y, x = rng.normal((nucleus.y, nucleus.x), 0.28 * nucleus.b)
            if rng.random() < often:
                window = _window(canvas, nucleus)
                away = np.hypot(canvas.y[window] - y, canvas.x[window] - x)
                spot = 0.6 * np.exp(-((away / radius) ** 4)) * (ids[window] == number)
                extra[window] = np.maximum(extra[window], spot)
    return extra


def _develop(canvas: Canvas, stains: Stains, rng: Generator) -> NDArray[np.uint8]:
    """Light through the stained section, a little out of focus, with the noise of a sensor."""
    thickness = 1 + 0.06 * canvas.cut(canvas.cloud, rng)
    density = np.zeros((canvas.pixels, canvas.pixels, 3), np.float32)
    for vector, amount, spread in (
        (HAEMATOXYLIN, stains.haematoxylin * rng.uniform(0.75, 1.25), 0.035),
        (EOSIN, stains.eosin * rng.uniform(0.65, 1.3), 0.035),
        (BLOOD, stains.blood, 0.01),
    ):
        varied = np.clip(vector + rng.normal(0, spread, 3), 0.02, None)
        unit = (varied / np.linalg.norm(varied)).astype(np.float32)
        density += (amount * thickness)[..., None] * unit
    light = rng.uniform(238, 250) + rng.normal(0, 1.5, 3)
    image = light * np.exp(-math.log(10) * density)
    focus = 0.2 + rng.uniform(0.2, 0.36) * canvas.scale
    image = ndimage.gaussian_filter(image, (focus, focus, 0))
    image += 1.5 * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
