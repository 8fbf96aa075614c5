"""Whether the attack draws the network's attention away from the tumour nuclei."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.attacks.targets import choose_targets
from ml.data import Progress
from ml.experiment import Experiment
from ml.explain.maps import METHODS, Method, saliency_map, share_inside
from ml.explain.paired import paired_test
from ml.explain.pairs import Pairs, attack_pairs
from ml.files import whole_file
from ml.networks import attack_view, load_card
from ml.progress import stage
from ml.quantize import images_from_tensor
from ml.steps import once, write_table

SHOWN = 4
"""So many patches are kept with their maps, to be looked at."""

Mask = NDArray[np.bool_]
Maps = dict[Method, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class ShareRow:
    """One line of saliency.csv: the share of the saliency that lies in tumour nuclei.

    `mask_share` is the nuclei's share of the area: what a map would give that knows nothing.
    """

    case: str
    truth: int
    method: Method
    share_before: float
    share_after: float
    mask_share: float


@dataclass(frozen=True)
class Explained:
    """The maps of the patches that are shown, the shares of all, and what has no share."""

    rows: list[ShareRow]
    shown: dict[int, tuple[Maps, Maps]]
    without_outlines: int
    without_nuclei: int
    empty_maps: dict[Method, int]


def run_saliency(
    network_file: Path, data: Path, out: Path, experiment: Experiment, *, fresh: bool = False
) -> dict[str, Any]:
    """Writes saliency.csv, saliency.npz (some patches with their maps) and saliency.json.

    Of `explain.limit` held-out patches of both truths, those whose attack holds in 8 bits. A patch
    has a share only if somebody outlined its nuclei and some of them are of tumour, so negatives
    are among the patches shown, but not in the table nor the test. A map that is 0 everywhere has
    no share either; both kinds are counted.
    """
    card = load_card(network_file)
    settings = asdict(experiment)
    identity = {
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
        "seed": experiment.seed,
        "attack": settings["attack"],
        "explain": {name: settings["explain"][name] for name in ("limit", "integration_steps")},
    }

    def work() -> dict[str, Any]:
        targets = choose_targets(
            network_file, data, truths="both", limit=experiment.explain.limit, seed=experiment.seed
        )
        pairs = attack_pairs(targets.network, targets.patches, experiment)
        masks = [pairs.patches.tumour_mask(i) for i in range(len(pairs))]
        shown = choose_shown(pairs.labels, masks)
        view = attack_view(targets.network)
        with stage("explaining") as update:
            explained = explain(
                view,
                pairs,
                masks,
                shown,
                integration_steps=experiment.explain.integration_steps,
                progress=update,
            )
        write_table(out / "saliency.csv", ShareRow, explained.rows)
        in_order = {i: explained.shown[i] for i in shown}
        _write_shown(out / "saliency.npz", pairs, masks, in_order)
        return {
            "considered": targets.considered,
            "correct": targets.correct,
            "attacked": pairs.attacked,
            "fooled": len(pairs),
            "without_outlines": explained.without_outlines,
            "without_nuclei": explained.without_nuclei,
            "empty_maps": explained.empty_maps,
            **summarise(explained.rows, seed=experiment.seed),
        }

    return once(out, "saliency", identity, work, fresh=fresh)


def choose_shown(labels: NDArray[np.int64], masks: list[Mask | None]) -> list[int]:
    """Positives first, those with outlined nuclei before others, then one negative if there is."""
    positives = sorted(np.flatnonzero(labels == 1).tolist(), key=lambda i: masks[i] is None)
    negatives = np.flatnonzero(labels == 0).tolist()[:1]
    return [*positives[: SHOWN - len(negatives)], *negatives]


def explain(
    network: nn.Module,
    pairs: Pairs,
    masks: list[Mask | None],
    shown: list[int],
    *,
    integration_steps: int,
    progress: Progress = lambda _done, _total: None,
) -> Explained:
    def maps_of(image: Tensor) -> Maps:
        return {
            method: saliency_map(network, image, method, integration_steps=integration_steps)
            for method in METHODS
        }

    explained = Explained(
        rows=[],
        shown={},
        without_outlines=sum(mask is None for mask in masks),
        without_nuclei=sum(mask is not None and not mask.any() for mask in masks),
        empty_maps=dict.fromkeys(METHODS, 0),
    )
    for i, mask in enumerate(masks):
        measured = mask is not None and bool(mask.any())
        if measured or i in shown:
            before, after = maps_of(pairs.originals[i]), maps_of(pairs.perturbed[i])
            if i in shown:
                explained.shown[i] = before, after
            if mask is not None and measured:
                _add_shares(explained, pairs, i, mask, before, after)
        progress(i + 1, len(masks))
    return explained


def _add_shares(
    explained: Explained, pairs: Pairs, i: int, mask: Mask, before: Maps, after: Maps
) -> None:
    for method in METHODS:
        share_before = share_inside(before[method], mask)
        share_after = share_inside(after[method], mask)
        if share_before is None or share_after is None:
            explained.empty_maps[method] += 1
            continue
        explained.rows.append(
            ShareRow(
                case=pairs.patches.sources[i].case,
                truth=int(pairs.labels[i]),
                method=method,
                share_before=share_before,
                share_after=share_after,
                mask_share=float(mask.mean()),
            )
        )


def summarise(rows: list[ShareRow], *, seed: int) -> dict[str, Any]:
    """By method: after the attack less before it, and before it less what chance would give."""
    before_and_after, chance_and_before = {}, {}
    for method in METHODS:
        own = [row for row in rows if row.method == method]
        before, after, chance = (
            np.array([getattr(row, name) for row in own])
            for name in ("share_before", "share_after", "mask_share")
        )
        before_and_after[method] = _told(paired_test(before, after, seed=seed))
        chance_and_before[method] = _told(paired_test(chance, before, seed=seed))
    return {"before_and_after": before_and_after, "chance_and_before": chance_and_before}


def _told(test: Any) -> dict[str, Any] | None:
    return None if test is None else asdict(test)


def _write_shown(
    path: Path, pairs: Pairs, masks: list[Mask | None], shown: dict[int, tuple[Maps, Maps]]
) -> None:
    """A mask is empty, too, where nobody outlined the nuclei."""
    indices = list(shown)
    height, width = pairs.originals.shape[2:]
    nothing = np.zeros((height, width), dtype=np.bool_)
    known = [masks[i] for i in indices]
    arrays: dict[str, Any] = {
        "case": np.array([pairs.patches.sources[i].case for i in indices]),
        "truth": pairs.labels[indices],
        "p_original": pairs.p_original[indices],
        "p_perturbed": pairs.p_perturbed[indices],
        "image": images_from_tensor(pairs.originals[indices]),
        "perturbed": images_from_tensor(pairs.perturbed[indices]),
        "mask": np.stack([nothing if mask is None else mask for mask in known]),
    }
    for method in METHODS:
        for when, side in (("before", 0), ("after", 1)):
            maps = [shown[i][side][method] for i in indices]
            arrays[f"{method}_{when}"] = np.stack(maps).astype(np.float32)
    with whole_file(path) as beside, beside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
