import json
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
import torchvision

from ml.data import Source
from ml.errors import MlError
from ml.networks import (
    NetworkCard,
    PixelNetwork,
    attack_view,
    build_network,
    card_path,
    in_bf16,
    load_network,
    save_network,
)


def card(file_sha256: str) -> NetworkCard:
    return NetworkCard(
        architecture="resnet18",
        file_sha256=file_sha256,
        created_at="2026-01-02T03:04:05Z",
        data_name="drawn",
        data_sha256="0" * 64,
        held_out=(Source("drawn", "", 3),),
        settings={"seed": 0},
        metrics={"auc": 0.9, "accuracy": 0.8, "n": 10},
        seconds=1.5,
        provenance={},
    )


@pytest.fixture
def network() -> PixelNetwork:
    """Random weights, and batch norm statistics as after some training."""
    network = build_network("none", seed=0).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return network.eval()


@pytest.fixture
def saved(network: PixelNetwork, tmp_path: Path) -> Path:
    save_network(network, tmp_path / "network.safetensors", card)
    return tmp_path / "network.safetensors"


def some_pixels() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def test_a_saved_network_comes_back_to_the_last_bit(network: PixelNetwork, saved: Path) -> None:
    loaded, its_card = load_network(saved)
    assert its_card == card(its_card.file_sha256)
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(some_pixels()), network(some_pixels()))


def test_weights_that_are_not_those_of_the_card_are_refused(saved: Path) -> None:
    flipped = bytearray(saved.read_bytes())
    flipped[-1] ^= 1
    saved.write_bytes(flipped)
    with pytest.raises(MlError, match="sha256 differs"):
        load_network(saved)


def test_a_missing_network_or_card_is_told(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(MlError, match=r"network\.json beside it"):
        load_network(tmp_path / "elsewhere.safetensors")
    saved.unlink()
    with pytest.raises(MlError, match="There is no network"):
        load_network(saved)


def test_a_card_of_something_else_is_refused(saved: Path) -> None:
    described = json.loads(card_path(saved).read_text())
    del described["metrics"]
    card_path(saved).write_text(json.dumps(described))
    with pytest.raises(MlError, match="describes no network"):
        load_network(saved)


def test_the_attack_view_is_the_same_function(network: PixelNetwork) -> None:
    view = attack_view(network)
    norms = [m for m in view.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms == []
    assert not any(p.requires_grad for p in view.parameters())

    def logits_and_gradient(of: PixelNetwork) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = some_pixels().requires_grad_()
        logits = of(pixels)
        return logits.detach(), torch.autograd.grad(logits[:, 1].sum(), pixels)[0]

    for ours, theirs in zip(logits_and_gradient(view), logits_and_gradient(network), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_the_attack_view_leaves_the_network_as_it_was(network: PixelNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    attack_view(network)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_search_in_bf16_is_near_the_network(network: PixelNetwork) -> None:
    with torch.inference_mode():
        exact = network(some_pixels())
        near = in_bf16(attack_view(network))(some_pixels())
    assert torch.allclose(near.float(), exact, rtol=0.1, atol=0.1)


def test_weights_none_are_drawn_by_the_seed_alone() -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    first, again, other = (build_network("none", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.body.fc.weight, again.body.fc.weight)
    assert not torch.equal(first.body.fc.weight, other.body.fc.weight)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_imagenet_weights_gives_all_but_the_head(tmp_path: Path, suffix: str) -> None:
    given: dict[str, torch.Tensor] = torchvision.models.resnet18().state_dict()
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(given, path)
    else:
        safetensors.torch.save_file(given, path)
    network = build_network(str(path), seed=0)
    assert torch.equal(network.body.conv1.weight, given["conv1.weight"])
    assert network.body.fc.weight.shape == (2, 512)


@pytest.mark.parametrize("size", ["resnet34", "squeezenet1_0"])
def test_weights_of_another_architecture_are_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(getattr(torchvision.models, size)().state_dict(), path)
    with pytest.raises(MlError, match="is no resnet18"):
        build_network(str(path), seed=0)


def test_a_weights_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlError, match="There is no weights file"):
        build_network(str(tmp_path / "missing.pth"), seed=0)
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises(MlError, match="no readable weights"):
            build_network(str(tmp_path / name), seed=0)


def test_without_a_connection_imagenet_weights_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MlError, match=r"--weights none.*--weights FILE"):
        build_network("imagenet", seed=0)


def test_imagenet_weights_come_through_torchvision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, torch.Tensor] = torchvision.models.resnet18().state_dict()
    asked = []

    def download(url: str, **_: Any) -> dict[str, torch.Tensor]:
        asked.append(url)
        return given

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    network = build_network("imagenet", seed=0)
    assert "resnet18" in asked[0]
    assert torch.equal(network.body.conv1.weight, given["conv1.weight"])
