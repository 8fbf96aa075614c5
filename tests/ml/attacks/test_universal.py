import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.attacks.margin import margin
from ml.attacks.universal import Universal, add_universal, find_universal
from ml.data import Patch, Patches, Source
from ml.errors import MlError
from ml.quantize import tensor_from_images

SIZE = 8
DISTANCES = (0.5, 1.5, 2.5, 3.5, 4.5, 9.0)
"""In grey levels (Linf), of the images of `linear_patches` from the boundary."""


class Linear(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, pixels: Tensor) -> Tensor:
        positive = ((pixels * 255 - 128) * self.weight).sum(dim=(1, 2, 3)).double()
        return torch.stack([torch.zeros_like(positive), positive], dim=1)


def draw_weight(seed: int = 0) -> Tensor:
    """Whole numbers, of which none is 0, so that sums of whole grey levels are exact."""
    chance = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 9, (3, SIZE, SIZE), generator=chance)
    return (sizes * (torch.randint(0, 2, sizes.shape, generator=chance) * 2 - 1)).float()


def patches_of(images: list[NDArray[np.uint8]], labels: list[int]) -> Patches:
    def entry(i: int) -> Patch:
        digest = hashlib.sha256(images[i].tobytes()).hexdigest()
        return Patch(
            source=Source("drawn", "", i),
            group=str(i),
            label=labels[i],
            tumour_nuclei=6 * labels[i],
            digest=digest,
            read=lambda: images[i],
        )

    return Patches("drawn", 0.25, tuple(entry(i) for i in range(len(images))))


def linear_patches(weight: Tensor, label: int = 1) -> Patches:
    """One image for each of DISTANCES, on the right side of the boundary, near mid grey."""
    side = 1 if label == 1 else -1
    pattern = weight.sign().permute(1, 2, 0).numpy() * side
    length = np.abs(weight.permute(1, 2, 0).numpy())
    images = []
    for distance in DISTANCES:
        image = 128 + np.floor(distance) * pattern
        # What is missing to the distance is laid on whole values until their weight suffices.
        left = (distance % 1) * length.sum()
        order = np.cumsum(length.ravel()) <= left
        image.ravel()[order] += pattern.ravel()[order]
        images.append(image.astype(np.uint8))
    return patches_of(images, [label] * len(images))


def find(network: nn.Module, patches: Patches, **changes: Any) -> Universal:
    settings: dict[str, Any] = {
        "epsilon": 3,
        "epochs": 6,
        "batch_size": 2,
        "confidence_target": 0.9,
        "seed": 0,
    }
    return find_universal(network, patches, **{**settings, **changes})


def fooled(network: nn.Module, patches: Patches, perturbation: Tensor) -> int:
    images = tensor_from_images(patches.images(range(len(patches))))
    labels = torch.from_numpy(patches.labels)
    return int((margin(network, add_universal(images, perturbation), labels) > 0).sum())


def convolutional(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * (SIZE - 2) ** 2, 2)
        return nn.Sequential(*layers).requires_grad_(False)


def random_patches(count: int = 24, seed: int = 0) -> Patches:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(count)]
    return patches_of(images, [i % 2 for i in range(count)])


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 2, 16])
@pytest.mark.parametrize("epsilon", [1, 2, 3, 5])
def test_of_a_linear_network_it_is_the_best_one_there_is(
    epsilon: int, batch_size: int, label: int
) -> None:
    """The best Linf perturbation for one class is -epsilon * sign(weight), for the other +."""
    weight = draw_weight()
    network, patches = Linear(weight), linear_patches(weight, label)
    found = find(network, patches, epsilon=epsilon, batch_size=batch_size)
    best = (-epsilon if label == 1 else epsilon) * weight.sign()
    assert torch.equal(found.perturbation, best.to(torch.int8))
    within_reach = sum(distance < epsilon for distance in DISTANCES)
    assert found.successes == fooled(network, patches, found.perturbation) == within_reach


def test_where_both_classes_pull_the_larger_one_decides() -> None:
    weight = draw_weight()
    network = Linear(weight)
    positive, negative = linear_patches(weight, 1), linear_patches(weight, 0)
    both = Patches("both", 0.25, positive.entries + negative.entries[:2])
    assert find(network, both).successes == 3


@pytest.mark.parametrize("epsilon", [1, 4, 100, 127])
def test_the_budget_is_never_left_and_the_count_is_that_of_8_bit_images(epsilon: int) -> None:
    network, patches = convolutional(), random_patches()
    found = find(network, patches, epsilon=epsilon, epochs=2)
    assert found.perturbation.dtype == torch.int8
    assert int(found.perturbation.int().abs().max()) <= epsilon
    assert found.successes == fooled(network, patches, found.perturbation)


def test_it_fools_more_than_any_of_many_random_ones() -> None:
    network, patches = convolutional(), random_patches()
    found = find(network, patches, epsilon=8)
    chance = torch.Generator().manual_seed(0)
    signs = [torch.randint(0, 2, (3, SIZE, SIZE), generator=chance) * 2 - 1 for _ in range(50)]
    random = [fooled(network, patches, (8 * s).to(torch.int8)) for s in signs]
    assert found.successes > max(random)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    network, patches = convolutional(), random_patches()

    def content(seed: int) -> bytes:
        return find(network, patches, epsilon=8, seed=seed).perturbation.numpy().tobytes()

    assert content(1) == content(1)
    assert content(1) != content(2)


def test_what_a_smaller_budget_found_is_never_made_worse() -> None:
    network, patches = convolutional(), random_patches()
    smaller = find(network, patches, epsilon=8)
    for epsilon in (9, 16):
        larger = find(network, patches, epsilon=epsilon, epochs=1, start=smaller.perturbation)
        assert larger.successes >= smaller.successes


def test_never_more_patches_are_read_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    images = Patches.images

    def counted(self: Patches, indices: Any) -> NDArray[np.uint8]:
        read.append(len(indices))
        return images(self, indices)

    monkeypatch.setattr(Patches, "images", counted)
    find(convolutional(), random_patches(count=80), batch_size=5, epochs=1)
    assert max(read) <= 32
    assert sum(size == 5 for size in read) == 16


def test_clipping_is_at_black_and_white() -> None:
    images = torch.tensor([0, 3, 250, 255], dtype=torch.uint8).view(1, 1, 2, 2)
    lower = torch.full((1, 2, 2), -5, dtype=torch.int8)
    assert add_universal(images, lower).flatten().tolist() == [0, 0, 245, 250]
    assert add_universal(images, -lower).flatten().tolist() == [5, 8, 255, 255]


@pytest.mark.parametrize("epsilon", [0, 128])
def test_a_budget_that_8_bits_cannot_hold_is_refused(epsilon: int) -> None:
    with pytest.raises(MlError, match="from 1 to 127"):
        find(convolutional(), random_patches(), epsilon=epsilon)


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    find(convolutional(), random_patches(), epochs=2, batch_size=10, progress=progress)
    assert told == [(done, 6) for done in range(1, 7)]


def test_an_image_that_is_fooled_for_sure_does_not_outvote_the_others() -> None:
    """It has a thousand times their gradient, and is wrong by more than the budget."""

    class Steep(Linear):
        def forward(self, pixels: Tensor) -> Tensor:
            steepness = torch.where(pixels[:, 0, 0, 0] > 0.7, 1000.0, 1.0)
            logits: Tensor = super().forward(pixels) * steepness.view(-1, 1)
            return logits

    weight = draw_weight()
    weight[0, 0, 0] = 0
    usual = linear_patches(weight, 1)
    marked = usual.images([len(DISTANCES) - 1])[0].copy()
    marked[0, 0, 0] = 255
    patches = Patches("both", 0.25, usual.entries + patches_of([marked], [0]).entries)
    for batch_size in (1, 7):
        found = find(Steep(weight), patches, epsilon=3, batch_size=batch_size)
        assert found.successes == sum(distance < 3 for distance in DISTANCES) + 1
