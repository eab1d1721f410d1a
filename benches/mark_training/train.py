"""Trains the reader's detector on the examples of data.py and writes its weights. Needs torch 2.13 (not the service's).

    OMP_NUM_THREADS=1 python benches/mark_training/train.py DATA OUT.npz --minutes 20

The network sees log band energies and says for each cell how much the mark seems to raise or lower it. It is trained to
maximise the normalised correlation of this with the pattern that is there, clip by clip: that is what the reader's z
grows with. Chips repeat after more than the network can see, so it learns no pattern.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SLOTS, SLOT, BANDS = 300, 5, 28
CHANNELS = 16
STEM = 15  # frames that a cell is made from
DILATIONS = (1, 2, 4, 1)  # slots between the taps of each block: 8 slots, 0.16 s, to both sides
LEAST = 0.05  # correlation below which a clip is not worth more effort


class Detector(nn.Module):
    """(batch, 3, frames, BANDS) -> (batch, slots, BANDS)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, (STEM, 1), stride=(SLOT, 1), padding=((STEM - SLOT) // 2, 0))
        self.band = nn.Parameter(torch.zeros(CHANNELS, 1, BANDS))
        self.blocks = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, dilation=(d, 1), padding=(d, 1)) for d in DILATIONS
        )
        self.last = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.stem(x) + self.band, 0.1)
        for block in self.blocks:
            x = x + nn.functional.leaky_relu(block(x), 0.1)
        return self.last(x)[:, 0]


def features(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    """What workers/marks/detector.py gives the network: keep the two alike. (3, frames, BANDS)."""
    peak = np.percentile(energies, 99)
    floor = np.percentile(energies, 10, axis=0)
    centred = (energies - energies.mean(axis=0)) / 10
    return np.stack([centred, np.clip((energies - peak) / 20, -3, 1), np.clip((energies - floor) / 20, -1, 2)])


class Examples:
    """Clips of up to six seconds, padded with nothing."""

    def __init__(self, path: Path) -> None:
        data = np.load(path)
        self.attack = [str(name) for name in data["attack"]]
        frames, slots = np.cumsum(data["frames"])[:-1], np.cumsum(data["slots"])[:-1]
        energies, wanted = np.split(data["energies"], frames), np.split(data["wanted"], slots)
        count = len(energies)
        self.x = torch.zeros(count, 3, SLOTS * SLOT, BANDS, dtype=torch.float16)
        self.y = torch.zeros(count, SLOTS, BANDS, dtype=torch.float16)
        self.mask = torch.zeros(count, SLOTS, 1)
        for k, (e, w, offset) in enumerate(zip(energies, wanted, data["offset"], strict=True)):
            shifted = e[offset:] if offset >= 0 else np.pad(e, ((-offset, 0), (0, 0)), mode="edge")
            length = min(len(shifted) // SLOT, len(w), SLOTS)
            shown = features(shifted[: length * SLOT].astype(np.float32))
            self.x[k, :, : length * SLOT] = torch.from_numpy(shown).half()
            self.y[k, :length] = torch.from_numpy(w[:length])
            self.mask[k, :length] = 1

    def batch(self, rows: NDArray[np.intp]) -> tuple[Tensor, Tensor, Tensor]:
        return self.x[rows].float(), self.y[rows].float(), self.mask[rows]


def correlation(out: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Normalised, for each clip."""
    out = out * mask
    return (out * wanted).sum((1, 2)) / (out.norm(dim=(1, 2)) * wanted.norm(dim=(1, 2)) + 1e-6)


def check(model: Detector, data: Examples) -> tuple[float, dict[str, float]]:
    """Mean logarithm, and mean by attack."""
    model.eval()
    with torch.no_grad():
        parts = [
            data.batch(rows) for rows in np.array_split(np.arange(len(data.attack)), max(len(data.attack) // 32, 1))
        ]
        found = torch.cat([correlation(model(x), y, m) for x, y, m in parts]).numpy()
    model.train()
    names = np.array(data.attack)
    by_attack = {name: float(found[names == name].mean()) for name in sorted(set(data.attack))}
    return float(np.log(np.maximum(found, 0) + LEAST).mean()), by_attack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=20, help="of wall clock, when --steps is not given")
    parser.add_argument("--steps", type=int, help="exactly so many: the same weights again on the same machine")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    train, development = Examples(options.data / "train.npz"), Examples(options.data / "development.npz")
    model = Detector().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), options.rate, weight_decay=1e-4)
    print(f"{sum(p.numel() for p in model.parameters())} weights, {len(train.attack)} clips", flush=True)
    begin, step, losses, shown = time.monotonic(), 0, [], 0
    order: NDArray[np.intp] = np.zeros(0, np.intp)
    while True:
        done = step / options.steps if options.steps else (time.monotonic() - begin) / 60 / options.minutes
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(step / 100, 1) * 0.5 * (1 + np.cos(np.pi * done)) + 1e-5
        if len(order) < options.batch:
            order = rng.permutation(len(train.attack))
        rows, order = order[: options.batch], order[options.batch :]
        x, y, mask = train.batch(rows)
        found = nn.functional.softplus(20 * correlation(model(x), y, mask)) / 20  # above zero, so that all clips teach
        loss = -torch.log(found + LEAST).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        step += 1
        if time.monotonic() - begin > shown:
            shown += 120
            print(
                f"{step} {done:.2f} loss {np.mean(losses[-200:]):.4f} dev {-check(model, development)[0]:.4f}",
                flush=True,
            )
    print(step, *(f"{name} {value:.4f}" for name, value in check(model, development)[1].items()), sep="\n")
    np.savez(options.out, **{name: value.detach().numpy() for name, value in model.state_dict().items()})


if __name__ == "__main__":
    main()
