"""Small networks of every kind that tracing supports, random but seeded."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

Shape = tuple[int, ...]


class Plain(nn.Module):
    """Convolution, pool, linear with methods and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc1 = nn.Linear(6 * 3 * 2, 11)
        self.fc2 = nn.Linear(11, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.max_pool2d(self.conv2(x).relu(), (2, 2), stride=2, padding=1)
        x = x.view(x.size(0), -1)
        x = functional.dropout(self.drop(torch.relu(self.fc1(x))), 0.5, self.training)
        return self.fc2(x)


class Residual(nn.Module):
    """A ResNet block with a projection, batch-norm everywhere, global mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.conv1 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding="same")
        self.bn2 = nn.BatchNorm2d(8, affine=False)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential(nn.Conv2d(6, 8, 1, stride=2), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return self.head(self.relu(out).mean([2, 3]))


class Separable(nn.Module):
    """Depthwise and pointwise convolutions, average pools."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 8, (3, 5), stride=(2, 1), padding=(1, 2), bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 1),
            nn.ReLU(),
            nn.AvgPool2d(2, padding=1),
            nn.Conv2d(12, 6, 3, padding=1, groups=3),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


class Fire(nn.Module):
    """SqueezeNet's module: squeeze, then two expansions joined; the network ends in a global pool."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(3, 4, 1)
        self.expand1 = nn.Conv2d(4, 6, 1)
        self.expand3 = nn.Conv2d(4, 5, 3, padding=1)
        self.classifier = nn.Conv2d(11, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.squeeze(x))
        x = torch.cat([functional.relu(self.expand1(x)), functional.relu(self.expand3(x))], 1)
        x = functional.max_pool2d(x, 3, stride=2)
        x = functional.adaptive_avg_pool2d(self.classifier(x), 1)
        return torch.flatten(x, 1)


class Dense(nn.Module):
    """Tensors with several readers: lone ReLU, concat with the input, a sum of a tensor with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 3, 3, padding=1)
        self.conv2 = nn.Conv2d(5, 3, 3, padding=1)
        self.head = nn.Linear(3 * 6 * 6, 4)
        self.pool = nn.AvgPool2d(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(x)
        z = self.conv2(torch.cat((functional.relu(y), x), dim=1))
        z = torch.add(z + y, y)
        z = functional.avg_pool2d(z + z, kernel_size=3, stride=1, padding=1)
        return self.head(self.pool(z).flatten(1))


ZOO: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "plain": (Plain, (1, 12, 10)),
    "residual": (Residual, (3, 8, 8)),
    "separable": (Separable, (2, 9, 7)),
    "fire": (Fire, (3, 9, 9)),
    "dense": (Dense, (2, 6, 6)),
    "mlp": (lambda: nn.Sequential(nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)), (9,)),
}


def build(name: str, seed: int = 0) -> tuple[nn.Module, Shape]:
    """Network *name* with random weights and random batch-norm statistics, and its input shape."""
    make, shape = ZOO[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                assert part.running_mean is not None
                assert part.running_var is not None
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.3, 2)
                if part.affine:
                    nn.init.uniform_(part.weight, -1.5, 1.5)
                    nn.init.normal_(part.bias, 0, 0.3)
    return module.eval(), shape
