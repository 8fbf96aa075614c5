import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ml.data import Patch, Patches
from ml.errors import MlError
from ml.evaluation import p_positive, predicted_class
from ml.experiment import Experiment
from ml.explain.maps import METHODS, saliency_map
from ml.explain.paired import paired_test
from ml.explain.pairs import Pairs
from ml.explain.saliency import ShareRow, choose_shown, explain, run_saliency, summarise
from ml.networks import attack_view, load_network
from ml.quantize import tensor_from_images
from ml.steps import read_table

NUCLEI = np.zeros((32, 32), dtype=np.bool_)
NUCLEI[8:16, 8:24] = True


class LooksAt(torch.nn.Module):
    """Positive by the mean of one region, negative by that of the rest, so maps are known."""

    def __init__(self) -> None:
        super().__init__()
        self.region = torch.from_numpy(NUCLEI).float()
        self.maps = torch.nn.Identity()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        darkness = 1 - self.maps(pixels).mean(dim=1)
        inside = (darkness * self.region).sum(dim=(1, 2)) / self.region.sum()
        outside = (darkness * (1 - self.region)).sum(dim=(1, 2)) / (1 - self.region).sum()
        return torch.stack([outside, inside], dim=1)


def image(inside: int, outside: int) -> torch.Tensor:
    region = torch.from_numpy(NUCLEI)
    grey = torch.where(region, torch.tensor(inside), torch.tensor(outside))
    return grey.to(torch.uint8).expand(1, 3, 32, 32).contiguous()


def pairs_of(patches: Patches, original: torch.Tensor, perturbed: torch.Tensor) -> Pairs:
    n = len(patches)
    known = np.zeros(n)
    return Pairs(
        patches, original.repeat(n, 1, 1, 1), perturbed.repeat(n, 1, 1, 1), known, known, n
    )


@pytest.fixture
def positives(make_patches: Callable[..., Patches]) -> Patches:
    return make_patches(8).subset([1, 3, 5])


def run(explainable: Any, out: Path, experiment: Experiment | None = None) -> dict[str, Any]:
    return run_saliency(
        explainable.network, explainable.data, out, experiment or explainable.experiment
    )


@pytest.fixture(scope="module")
def finished(explainable: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("saliency")
    run(explainable, out)
    return out


def test_a_network_that_looks_at_the_nuclei_until_it_is_fooled_shows_in_the_shares(
    positives: Patches,
) -> None:
    dark_inside, dark_outside = image(40, 200), image(200, 40)
    pairs = pairs_of(positives, dark_inside, dark_outside)
    masks: list[Any] = [NUCLEI, None, np.zeros_like(NUCLEI)]
    explained = explain(LooksAt(), pairs, masks, [], integration_steps=4)
    assert explained.without_outlines == explained.without_nuclei == 1
    assert [row.case for row in explained.rows] == [positives.sources[0].case] * 2
    by_method = {row.method: row for row in explained.rows}
    for method in ("gradient", "integrated_gradients"):
        assert by_method[method].share_before == pytest.approx(1)
        assert by_method[method].share_after == pytest.approx(0)
        assert by_method[method].mask_share == NUCLEI.mean()


def test_a_map_that_is_0_everywhere_gives_no_row_and_is_counted(positives: Patches) -> None:
    """Grad-CAM: the darker a place, the more it speaks for its class, so no map is positive."""
    pairs = pairs_of(positives, image(40, 200), image(200, 40))
    explained = explain(LooksAt(), pairs, [NUCLEI] * 3, [], integration_steps=4)
    assert explained.empty_maps == {"gradient": 0, "integrated_gradients": 0, "grad_cam": 3}
    assert not [row for row in explained.rows if row.method == "grad_cam"]


def test_the_test_is_that_of_the_rows_of_each_method() -> None:
    chance = np.random.default_rng(0)
    shares = {method: chance.uniform(size=(3, 6)) for method in METHODS[:2]}
    rows = [
        ShareRow(case=str(i), truth=1, method=method, **dict(zip(names, values, strict=True)))
        for method, table in shares.items()
        for names in [("share_before", "share_after", "mask_share")]
        for i, values in enumerate(table.T.tolist())
    ]
    told = summarise(rows, seed=5)
    for method, (before, after, area) in shares.items():
        found = paired_test(before, after, seed=5)
        assert found is not None
        assert told["before_and_after"][method]["wilcoxon_p"] == found.wilcoxon_p
        assert told["before_and_after"][method]["mean_after"] == pytest.approx(after.mean())
        assert told["chance_and_before"][method]["mean_before"] == pytest.approx(area.mean())
    assert told["before_and_after"]["grad_cam"] is None


def test_outlined_positives_are_shown_first_and_one_negative_last() -> None:
    labels = np.array([0, 1, 1, 1, 1, 0, 1])
    masks: list[Any] = [None, None, NUCLEI, None, NUCLEI, None, NUCLEI]
    assert choose_shown(labels, masks) == [2, 4, 6, 0]
    assert choose_shown(labels[1:5], masks[1:5]) == [1, 3, 0, 2]


def test_the_table_holds_each_fooled_positive_whose_nuclei_are_outlined(
    explainable: Any, finished: Path
) -> None:
    rows = read_table(finished / "saliency.csv", ShareRow)
    told = json.loads((finished / "saliency.json").read_text())
    assert told["attacked"] == explainable.experiment.explain.limit
    cases = {row.case for row in rows}
    assert len(cases) == told["fooled"] - told["without_outlines"] - told["without_nuclei"] > 2
    assert all(int(case) % 10 in {3, 5, 7, 9} for case in cases)
    assert len(rows) == 3 * len(cases) - sum(told["empty_maps"].values())
    assert all(0 <= share <= 1 for row in rows for share in (row.share_before, row.share_after))


def test_the_kept_images_fool_the_network_and_the_kept_maps_are_theirs(
    explainable: Any, finished: Path
) -> None:
    network, _ = load_network(explainable.network)
    with np.load(finished / "saliency.npz") as kept:
        shown = dict(kept)
    for name, truth in (("image", shown["truth"]), ("perturbed", 1 - shown["truth"])):
        p = p_positive(network, tensor_from_images(shown[name]))
        assert (predicted_class(p) == truth).all()
    assert shown["truth"].tolist() == [1, 1, 1, 0]
    rows = read_table(finished / "saliency.csv", ShareRow)
    first = {row.method: row for row in rows if row.case == shown["case"][0]}
    view = attack_view(network)
    for method in METHODS:
        for name, when in (("image", "before"), ("perturbed", "after")):
            again = saliency_map(
                view, tensor_from_images(shown[name][:1])[0], method, integration_steps=4
            )
            assert shown[f"{method}_{when}"][0] == pytest.approx(again, rel=1e-3, abs=1e-7)
    found = shown["gradient_after"][0]
    by_hand = found[shown["mask"][0]].sum() / found.sum()
    assert first["gradient"].share_after == pytest.approx(by_hand, rel=1e-5)
    assert first["gradient"].mask_share == shown["mask"][0].mean()


def test_the_same_seed_gives_the_same_table_byte_for_byte(
    explainable: Any, finished: Path, tmp_path: Path
) -> None:
    run(explainable, tmp_path)
    assert (tmp_path / "saliency.csv").read_bytes() == (finished / "saliency.csv").read_bytes()


def test_a_finished_folder_is_told_again_and_refused_for_other_settings(
    explainable: Any, finished: Path
) -> None:
    before = (finished / "saliency.csv").stat().st_mtime_ns
    assert run(explainable, finished) == json.loads((finished / "saliency.json").read_text())
    assert (finished / "saliency.csv").stat().st_mtime_ns == before
    other = replace(explainable.experiment, seed=9)
    with pytest.raises(MlError, match="seed"):
        run(explainable, finished, other)


def test_an_attack_that_never_succeeds_says_what_to_do(explainable: Any, tmp_path: Path) -> None:
    hopeless = replace(explainable.experiment.attack, epsilon="1", steps=1, finish_steps=0)
    experiment = replace(explainable.experiment, attack=hopeless)
    with pytest.raises(MlError, match="epsilon"):
        run(explainable, tmp_path, experiment)


def test_a_case_is_named_by_fold_and_index(positives: Patches) -> None:
    entry: Patch = positives.entries[0]
    assert entry.source.case == "1"
    assert replace(entry.source, fold="2", index=17).case == "2/17"
