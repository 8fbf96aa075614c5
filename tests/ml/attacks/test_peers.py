"""Our attacks beside those of other libraries, on one trained convolutional network."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.adapters import BallNorm, Budget
from benchmarks.peers import Checkouts
from ml.attacks.budget import size_of
from ml.attacks.margin import margin
from ml.attacks.minimal import minimal
from ml.attacks.pgd import pgd
from ml.quantize import tensor_from_images

FLIP = 0.500001
STEPS = 20
MINIMAL_STEPS = 40
"""The peers have twice as many, as theirs find the smallest ones late."""


@dataclass(frozen=True)
class Subject:
    """A network and images, uint8, that it classifies correctly."""

    network: nn.Module
    images: Tensor
    labels: Tensor

    @property
    def pixels(self) -> Tensor:
        return self.images.to(torch.float32) / 255

    def wrong(self, grey_levels: Tensor) -> Tensor:
        with torch.no_grad():
            return margin(self.network, grey_levels, self.labels) > 0


@pytest.fixture(scope="module")
def subject() -> Subject:
    from tests.ml.conftest import draw_patches

    def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
        patches = draw_patches(count, seed)
        return tensor_from_images(patches.images(range(count))), torch.from_numpy(patches.labels)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _trained(*drawn(120, seed=3))
    images, labels = drawn(24, seed=9)
    right = margin(network, images, labels) < 0
    return Subject(network, images[right][:16], labels[right][:16])


def _trained(images: Tensor, labels: Tensor) -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(3, 12, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 16, 32),
        nn.ReLU(),
        nn.Linear(32, 2),
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(150):
        batch = torch.randint(0, len(images), (32,))
        loss = nn.functional.cross_entropy(network(images[batch] / 255), labels[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("norm", "epsilon"),
    [
        ("linf", 4.0),
        ("linf", 7.0),
        ("linf", 10.0),
        ("l2", 3.0),
        ("l2", 4.5),
        ("l2", 6.0),
        ("l1", 0.8),
        ("l1", 1.2),
        ("l1", 2.0),
    ],
)
def test_pgd_succeeds_at_least_as_often_as_the_best_peer(
    subject: Subject, norm: BallNorm, epsilon: float
) -> None:
    budget = Budget(norm, epsilon, epsilon / 4, STEPS)
    attacks = peers.bounded(budget, Checkouts()).attacks
    if not attacks:
        pytest.skip("no other library is installed")
    theirs = {}
    for name, attack in attacks.items():
        perturbed = attack(subject.network, subject.pixels, subject.labels) * 255
        assert (size_of(perturbed - subject.images, norm) <= epsilon * 1.001).all(), name
        theirs[name] = int(subject.wrong(perturbed).sum())
    ours = _ours(subject, norm, epsilon)
    assert (size_of(ours - subject.images, norm) <= epsilon * (1 + 1e-5)).all()
    assert int(subject.wrong(ours).sum()) >= max(theirs.values()), theirs


def test_the_budgets_are_neither_hopeless_nor_too_easy(subject: Subject) -> None:
    """Else the comparison would hold for any attack."""
    ends: dict[BallNorm, tuple[float, float]] = {
        "linf": (4.0, 10.0),
        "l2": (3.0, 6.0),
        "l1": (0.8, 2.0),
    }
    for norm, epsilons in ends.items():
        shares = [
            float(subject.wrong(_ours(subject, norm, epsilon)).float().mean())
            for epsilon in epsilons
        ]
        assert shares[0] < 0.5 < shares[1]


def _ours(subject: Subject, norm: BallNorm, epsilon: float) -> Tensor:
    return pgd(
        subject.network,
        subject.images,
        subject.labels,
        norm=norm,
        epsilon=epsilon,
        step_size=epsilon / 4,
        steps=STEPS,
        confidence_target=FLIP,
        slots=16,
    ).images


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_minimal_perturbations_are_at_most_2_percent_larger_than_the_best_of_fmn(
    subject: Subject, norm: BallNorm
) -> None:
    attacks = peers.minimal(norm, 2 * MINIMAL_STEPS).attacks
    if not attacks:
        pytest.skip("no other library is installed")
    theirs = {}
    for name, attack in attacks.items():
        perturbed = attack(subject.network, subject.pixels, subject.labels) * 255
        sizes = size_of(perturbed - subject.images, norm)
        theirs[name] = float(sizes.where(subject.wrong(perturbed), torch.inf).median())
    found = minimal(
        subject.network,
        subject.images,
        subject.labels,
        norm=norm,
        steps=MINIMAL_STEPS,
        slots=16,
    )
    assert subject.wrong(found.images).all()
    assert torch.allclose(size_of(found.images - subject.images, norm), found.epsilon, rtol=1e-4)
    assert float(found.epsilon.median()) <= 1.02 * min(theirs.values()), theirs


def test_a_peer_that_is_not_there_is_named() -> None:
    found = peers.bounded(Budget("linf", 2.0, 0.5, 5), Checkouts())
    assert "--reet" in found.missing["REET PGD"]
    assert "--autoattack" in found.missing["AutoAttack APGD-CE"]
