"""The 31.2 M parameter 3D UNet of the references in plain PyTorch, timed, to compare ours with.

tests/bench_train.py runs it with the Python of .venv-peer. Prints one JSON object.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

FILTERS = (32, 64, 128, 256, 320, 320)
CHANNELS, CLASSES = 4, 4


class Block(nn.Module):
    """Two convolutions, each with instance norm and LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.layers = nn.Sequential(
            *self._conv(inputs, outputs, stride), *self._conv(outputs, outputs, 1)
        )

    @staticmethod
    def _conv(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv3d(inputs, outputs, 3, stride, 1),
            nn.InstanceNorm3d(outputs, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class UNet(nn.Module):
    """[B, 4, X, Y, Z] -> logits [B, 4, X, Y, Z], as the preset `unet3d`."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (CHANNELS, *FILTERS[:-1])
        self.encoder = nn.ModuleList(
            Block(i, o, stride=1 if level == 0 else 2)
            for level, (i, o) in enumerate(zip(inputs, FILTERS, strict=True))
        )
        pairs = list(zip(FILTERS[1:], FILTERS[:-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(i, o, 2, 2) for i, o in pairs)
        self.decoder = nn.ModuleList(Block(2 * o, o) for _, o in pairs)
        self.head = nn.Conv3d(FILTERS[0], CLASSES, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](torch.cat([self.up[level](x), skips[level]], 1))
        return self.head(x)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy plus 1 - dice, averaged over the foreground classes."""
    logits = logits.float()
    truth = functional.one_hot(labels, CLASSES).movedim(-1, 1)
    p, axes = torch.softmax(logits, 1), (0, 2, 3, 4)
    dice = (2 * (p * truth).sum(axes) + 1e-6) / ((p + truth).sum(axes) + 1e-6)
    return functional.cross_entropy(logits, labels) + (1 - dice[1:]).mean()


def make_runs(options: argparse.Namespace) -> tuple[nn.Module, Callable[[], object]]:
    """The network, and a function that does one step or one forward pass."""
    shape = (options.batch_size, *(options.crop,) * 3)
    network = UNet().train(options.what == "train")
    image = torch.randn(shape[0], CHANNELS, *shape[1:])
    labels = torch.randint(0, CLASSES, shape)
    optimizer = torch.optim.Adam(network.parameters(), 2e-4)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16")

    def train() -> float:
        optimizer.zero_grad(set_to_none=True)
        with cast:
            logits = network(image)
        loss = loss_of(logits, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer() -> Tensor:
        with torch.inference_mode(), cast:
            return network(image)

    return network, {"train": train, "infer": infer}[options.what]


def main() -> None:
    """Prints the seconds of every step after the warm-up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "infer"])
    parser.add_argument("--crop", type=int, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network, run = make_runs(options)
    seconds = []
    for _ in range(options.warmup + options.steps):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    result = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": seconds[options.warmup :],
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
