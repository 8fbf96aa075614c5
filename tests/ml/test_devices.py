import pytest
import torch

from ml.devices import autocast, choose_device, device_of
from ml.errors import MlError


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_auto_is_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, chosen in [
        (True, True, "cuda"),
        (True, False, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ]:
        pretend(monkeypatch, cuda=cuda, mps=mps)
        assert choose_device("auto").type == chosen
        assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("absent", ["cuda", "mps"])
def test_asking_for_a_device_that_is_absent_says_which_are_there(
    monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    pretend(monkeypatch, cuda=False, mps=False)
    with pytest.raises(MlError, match=f"no {absent} device here; use --device auto or cpu"):
        choose_device(absent)


def test_a_network_is_where_its_weights_are() -> None:
    assert device_of(torch.nn.Linear(2, 2, device="meta")).type == "meta"


def test_bf16_is_computed_in_only_where_it_is_asked_for() -> None:
    cpu, values = torch.device("cpu"), torch.ones(2, 2)
    with autocast(cpu, "bf16"):
        assert (values @ values).dtype == torch.bfloat16
        with autocast(cpu, "fp32"):
            assert (values @ values).dtype == torch.float32
