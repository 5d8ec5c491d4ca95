"""Where training runs: the default is the CPU, and what a GPU needs changes nothing there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mico.data import load
from mico.device import device_of, on_device
from mico.errors import UsageError
from mico.models.recipe import Recipe
from mico.train import train

GPU = torch.cuda.is_available()


def test_default_is_the_cpu_and_the_environment_can_ask_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICO_DEVICE", raising=False)
    assert device_of().type == "cpu"
    assert device_of("auto").type == ("cuda" if GPU else "cpu")
    monkeypatch.setenv("MICO_DEVICE", "auto")
    assert device_of().type == ("cuda" if GPU else "cpu")
    assert device_of("cpu").type == "cpu"
    monkeypatch.setenv("MICO_DEVICE", "tpu")
    with pytest.raises(UsageError, match="tpu"):
        device_of()


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_cuda_without_a_gpu_is_an_error() -> None:
    with pytest.raises(UsageError, match="no CUDA device"):
        device_of("cuda")


def test_module_is_elsewhere_only_meanwhile_and_its_callers_need_not_know() -> None:
    """``meta`` stands for a GPU here: inputs arrive there. Its values cannot come back, which is the error."""
    model = nn.Linear(3, 2)
    seen: list[str] = []
    model.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].device.type + output.device.type))

    def compute() -> None:
        with on_device(model, torch.device("meta")):
            seen.append(model.weight.device.type)
            model(torch.ones(1, 3))

    with pytest.raises(NotImplementedError):
        compute()
    assert seen == ["meta", "metameta"]


def test_training_on_the_cpu_by_name_is_the_default_bit_for_bit() -> None:
    """12 steps on the digits, seed 0."""
    digits, weights = load("digits"), []
    for device in (None, "cpu"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
        train(model, digits, Recipe(epochs=0, min_steps=12, batch_size=32), 0, device=device)
        weights.append(model[1].weight.detach().clone())
        assert not model._forward_hooks
    assert torch.equal(*weights)


@pytest.mark.skipif(not GPU, reason="no GPU")
def test_training_on_a_gpu_learns_and_returns_to_the_cpu() -> None:
    """200 steps on the digits, seed 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    result = train(model, load("digits"), Recipe(epochs=0, min_steps=200, batch_size=32), 0, device="cuda")
    assert result.accuracy_val > 0.8
    assert model[1].weight.device.type == "cpu"
