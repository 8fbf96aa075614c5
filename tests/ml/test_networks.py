import json
import re
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
import torchvision

from ml.architectures import build_body, head_name
from ml.data import Source
from ml.errors import MlError
from ml.networks import (
    NetworkCard,
    PixelNetwork,
    attack_view,
    build_network,
    card_path,
    features,
    in_bf16,
    last_convolution,
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
    one, same, another = (n.head.state_dict()["weight"] for n in (first, again, other))
    assert torch.equal(one, same)
    assert not torch.equal(one, another)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "architecture",
    ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "regnet_x_400mf", "timm:resnet10t"],
)
def test_a_file_of_a_network_of_1000_classes_gives_all_but_the_head(
    tmp_path: Path, architecture: str, suffix: str
) -> None:
    torch.manual_seed(5)
    given = build_body(architecture, 1000).state_dict()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(given, path)
    else:
        safetensors.torch.save_file(given, path)
    ours = build_network(str(path), seed=0, architecture=architecture).body.state_dict()
    differing = {name for name in given if not torch.equal(given[name], ours[name])}
    assert {name.rpartition(".")[0] for name in differing} == {head_name(architecture)}
    assert all(given[name].shape[0] == 1000 for name in differing)
    assert all(ours[name].shape[0] == 2 for name in differing)


def test_a_file_of_an_old_densenet_is_understood(tmp_path: Path) -> None:
    """Torchvision's own files name the layers norm.1, conv.2 and so on."""
    given = build_body("densenet121", 1000).state_dict()
    old = {re.sub(r"(denselayer\d+\.[a-z]+)([12])", r"\1.\2", k): v for k, v in given.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet121.pth")
    network = build_network(str(tmp_path / "densenet121.pth"), seed=0, architecture="densenet121")
    name = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(network.body.state_dict()[name], given[name])


def test_auxiliary_classifiers_of_a_file_are_left_out(tmp_path: Path) -> None:
    given = torchvision.models.googlenet(init_weights=True).state_dict()
    assert "aux1.fc1.weight" in given
    torch.save(given, tmp_path / "googlenet.pth")
    ours = build_network(str(tmp_path / "googlenet.pth"), seed=0, architecture="googlenet")
    assert torch.equal(ours.body.state_dict()["conv1.conv.weight"], given["conv1.conv.weight"])


@pytest.mark.parametrize("size", ["resnet34", "squeezenet1_0"])
def test_weights_of_another_architecture_are_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(getattr(torchvision.models, size)().state_dict(), path)
    with pytest.raises(MlError, match="is no resnet18"):
        build_network(str(path), seed=0)


@pytest.mark.parametrize("unknown", ["resnet19", "timm:resnet19"])
def test_an_unknown_architecture_is_told_with_names_near_it(unknown: str) -> None:
    near = unknown.replace("19", "18")
    with pytest.raises(MlError, match=f"no architecture {unknown};.* {near}"):
        build_network("none", seed=0, architecture=unknown)


def test_without_timm_its_networks_say_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MlError, match=r"pip install 'plainsight\[timm\]'"):
        build_network("none", seed=0, architecture="timm:resnet10t")


def test_a_network_with_several_last_layers_is_refused() -> None:
    with pytest.raises(MlError, match="has 2 last layers"):
        head_name("timm:deit_tiny_distilled_patch16_224")


def test_networks_of_timm_normalise_pixels_in_their_own_way() -> None:
    network = build_network("none", seed=0, architecture="timm:vit_tiny_patch16_224")
    assert network.mean.flatten().tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("architecture", ["mobilenet_v3_small", "timm:resnet10t"])
def test_a_network_comes_back_as_the_architecture_of_its_card(
    tmp_path: Path, architecture: str
) -> None:
    network = build_network("none", seed=0, architecture=architecture).eval()
    path = tmp_path / "network.safetensors"
    save_network(network, path, lambda sha256: replace(card(sha256), architecture=architecture))
    loaded, _ = load_network(path)
    assert loaded.architecture == architecture
    with torch.inference_mode():
        assert torch.equal(loaded(some_pixels()), network(some_pixels()))


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "densenet121"])
def test_features_are_what_the_last_layer_makes_logits_of(architecture: str) -> None:
    network = build_network("none", seed=0, architecture=architecture).eval()
    with torch.inference_mode():
        found = features(network, some_pixels())
        logits = network(some_pixels())
        assert found.shape == (3, network.head.in_features)
        assert torch.allclose(network.head(found), logits, atol=1e-6)
        assert torch.allclose(features(attack_view(network), some_pixels()), found, atol=1e-3)


def test_features_of_a_convolutional_head_are_means_over_space() -> None:
    network = build_network("none", seed=0, architecture="squeezenet1_1").eval()
    with torch.inference_mode():
        assert features(network, some_pixels()).shape == (3, 512)


def test_the_last_convolution_is_never_the_head() -> None:
    resnet = build_network("none", seed=0)
    assert last_convolution(resnet) is resnet.body.get_submodule("layer4.1.conv2")
    squeezenet = build_network("none", seed=0, architecture="squeezenet1_1")
    last = squeezenet.body.get_submodule("features.12.expand3x3")
    assert last_convolution(squeezenet) is last
    resnet.body = torch.nn.Sequential(OrderedDict(fc=torch.nn.Linear(3, 2)))
    with pytest.raises(MlError, match="no convolution"):
        last_convolution(resnet)


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
    assert torch.equal(network.body.state_dict()["conv1.weight"], given["conv1.weight"])
