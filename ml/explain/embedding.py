"""Where attacked images lie among the features of the penultimate layer (the paper's Fig. 2a)."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.pgd import pgd
from ml.attacks.targets import choose_targets
from ml.data import Patches, Progress
from ml.errors import MlError
from ml.evaluation import BATCH_SIZE
from ml.experiment import AttackSettings, Experiment
from ml.explain.neighbours import NEIGHBOURS, neighbour_shares, place, place_more
from ml.explain.pairs import Pairs, attack_pairs
from ml.networks import PixelNetwork, attack_view, features, load_card
from ml.progress import stage
from ml.quantize import pixels_from_grey_levels, tensor_from_images
from ml.steps import once, write_table

Group = Literal[
    "true_positive", "true_negative", "adversarial_positive", "adversarial_negative", "track"
]
CLEAN: tuple[Group, Group] = ("true_negative", "true_positive")
ADVERSARIAL: tuple[Group, Group] = ("adversarial_negative", "adversarial_positive")

FEWEST = 4
"""Patches on a map; UMAP needs some neighbours."""

Values = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EmbeddingRow:
    """One line of embedding.csv; on the track `step` is told, elsewhere `neighbour_share`.

    That is the share of the nearest unperturbed patches, among the features and not on the map,
    that have the class which the network gives this image.
    """

    case: str
    group: Group
    x: float
    y: float
    step: int | None = None
    neighbour_share: float | None = None


@dataclass(frozen=True)
class Featured:
    """Images as the network sees them; `origins` are the indices of their unperturbed patches."""

    features: Values
    classes: Classes
    origins: NDArray[np.int64]


def run_embedding(
    network_file: Path, data: Path, out: Path, experiment: Experiment, *, fresh: bool = False
) -> dict[str, Any]:
    """Writes embedding.csv and embedding.json.

    True positives and negatives are all held-out patches that the network classifies correctly;
    adversarial positives and negatives, as which the network now takes them, are `explain.limit` of
    these after an attack that holds in 8 bits. UMAP is fitted on both; the track, one image after
    each step of its attack in float, is placed on the finished map.
    """
    card = load_card(network_file)
    identity = {
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
        "seed": experiment.seed,
        "attack": asdict(experiment.attack),
        "explain": {"limit": experiment.explain.limit},
    }

    def work() -> dict[str, Any]:
        targets = choose_targets(network_file, data, truths="both", seed=experiment.seed)
        clean = targets.patches
        if len(clean) < FEWEST:
            raise MlError(
                f"Only {len(clean)} held-out patches are classified correctly, too few for a map; "
                "train the network for longer, or give more patches."
            )
        chance = np.random.default_rng(experiment.seed)
        drawn = np.sort(chance.permutation(len(clean))[: experiment.explain.limit])
        pairs = attack_pairs(targets.network, clean.subset(drawn), experiment)
        view = attack_view(targets.network)
        with stage("taking features") as update:
            before = _of_patches(view, clean, update)
            after = _of_pairs(view, pairs, clean)
            followed = choose_followed(pairs.labels)
            track = follow(
                view, pairs.originals[followed], int(pairs.labels[followed]), experiment.attack
            )
        names = [source.case for source in clean.sources]
        rows = embed(before, after, track, names, followed, seed=experiment.seed)
        write_table(out / "embedding.csv", EmbeddingRow, rows)
        return {
            "considered": targets.considered,
            "correct": targets.correct,
            "attacked": pairs.attacked,
            "fooled": len(pairs),
            "track": {"case": rows[-1].case, "steps": len(track) - 1},
            "neighbours": min(NEIGHBOURS, len(clean) - 1),
            "groups": summarise(rows),
        }

    return once(out, "embedding", identity, work, fresh=fresh)


def embed(
    clean: Featured,
    perturbed: Featured,
    track: Values,
    names: list[str],
    followed: int,
    *,
    seed: int,
) -> list[EmbeddingRow]:
    """`track` (steps, features) is of the perturbed image `followed`; `names` of the clean ones."""
    with stage("embedding") as update:
        update(0, 2)
        fitted = place(np.concatenate([clean.features, perturbed.features]), seed=seed)
        update(1, 2)
        positions = [fitted.embedding_, place_more(fitted, track)]
        update(2, 2)
    points = iter(np.concatenate(positions).astype(np.float64).tolist())
    rows = []
    for groups, images in ((CLEAN, clean), (ADVERSARIAL, perturbed)):
        shares = neighbour_shares(
            images.features, images.classes, images.origins, clean.features, clean.classes
        )
        for origin, predicted, share in zip(images.origins, images.classes, shares, strict=True):
            x, y = next(points)
            rows.append(
                EmbeddingRow(
                    case=names[origin],
                    group=groups[predicted],
                    x=x,
                    y=y,
                    neighbour_share=float(share),
                )
            )
    name = names[perturbed.origins[followed]]
    rows += [
        EmbeddingRow(case=name, group="track", x=x, y=y, step=step)
        for step, (x, y) in enumerate(points)
    ]
    return rows


def summarise(rows: list[EmbeddingRow]) -> dict[str, dict[str, float] | None]:
    """By group: how many, their mean neighbour share, and what it would be by chance."""
    numbers = {group: sum(row.group == group for row in rows) for group in CLEAN}
    told: dict[str, dict[str, float] | None] = {}
    for groups in (CLEAN, ADVERSARIAL):
        for predicted, group in enumerate(groups):
            shares = [row.neighbour_share for row in rows if row.group == group]
            told[group] = _told(shares, numbers[CLEAN[predicted]] / sum(numbers.values()))
    return told


def _told(shares: list[float | None], by_chance: float) -> dict[str, float] | None:
    known = [share for share in shares if share is not None]
    if not known:
        return None
    mean = float(np.mean(known))
    return {"n": len(known), "mean_neighbour_share": mean, "by_chance": by_chance}


def choose_followed(labels: Classes) -> int:
    """The first positive, as in the paper; without one, the first image."""
    return int(np.argmax(labels == 1))


def follow(network: PixelNetwork, image: Tensor, label: int, settings: AttackSettings) -> Values:
    """(steps + 1, features) of an image (3, height, width) through its attack: from the original to
    the image that the attack returns, which is the best of its walk and not always the last."""
    seen: list[Tensor] = []

    def recording(pixels: Tensor) -> Tensor:
        seen.append(pixels.detach().clone())
        logits: Tensor = network(pixels)
        return logits

    found = pgd(
        recording,
        image.unsqueeze(0),
        torch.tensor([label]),
        norm=settings.norm,
        epsilon=float(settings.epsilon),
        step_size=float(settings.step_size_text),
        steps=settings.steps,
        confidence_target=settings.confidence_target,
        slots=1,
    )
    returned = pixels_from_grey_levels(found.images)
    best = next(step for step, pixels in enumerate(seen) if torch.equal(pixels, returned))
    with torch.inference_mode():
        return _as_values(features(network, torch.cat(seen[: best + 1])))


def features_of(network: PixelNetwork, grey_levels: Tensor) -> Values:
    """(n, features) of (n, 3, height, width)."""
    with torch.inference_mode():
        parts = [
            features(network, pixels_from_grey_levels(grey_levels[first : first + BATCH_SIZE]))
            for first in range(0, len(grey_levels), BATCH_SIZE)
        ]
    return _as_values(torch.cat(parts))


def _as_values(found: Tensor) -> Values:
    values: Values = found.cpu().double().numpy()
    return values


def _of_patches(network: PixelNetwork, patches: Patches, progress: Progress) -> Featured:
    """Read batch by batch; all are classified correctly."""
    parts = []
    for first in range(0, len(patches), BATCH_SIZE):
        last = min(first + BATCH_SIZE, len(patches))
        parts.append(features_of(network, tensor_from_images(patches.images(range(first, last)))))
        progress(last, len(patches))
    return Featured(np.concatenate(parts), patches.labels, np.arange(len(patches)))


def _of_pairs(network: PixelNetwork, pairs: Pairs, clean: Patches) -> Featured:
    """All are classified wrongly."""
    where = {source: i for i, source in enumerate(clean.sources)}
    origins = np.array([where[source] for source in pairs.patches.sources])
    return Featured(features_of(network, pairs.perturbed), 1 - pairs.labels, origins)
