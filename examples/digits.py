"""From .npy files to a trained network: 1,797 scanned digits, a small CNN, PyTorch."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from tqdm import tqdm

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

FOLDER = Path(__file__).parent / "data"
MEAN, STD = 4.884 / 255, 6.017 / 255  # of all pixels, which are 0 to 16
EPOCHS, BATCH_SIZE = 12, 32


class PlainDigits(torch.utils.data.Dataset[tuple[torch.Tensor, np.int64]]):
    """The same samples as people write them for torch's own loader."""

    def __init__(self) -> None:
        self.images = np.load(FOLDER / "images.npy", mmap_mode="c")
        self.labels = np.load(FOLDER / "labels.npy")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.int64]:
        image = torch.from_numpy(self.images[index]).float() / 255
        return ((image - MEAN) / STD).unsqueeze(0), self.labels[index]


def samples_per_second(loader: Iterable[Any], seconds: float = 2.0) -> float:
    """The rate of whole epochs, as many as fit."""
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        count += sum(len(labels) for _, labels in loader)
    return count / (time.perf_counter() - begin)


def main() -> None:
    """Write the files, train, test, compare."""
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    images, labels = load_digits(return_X_y=True)
    np.save(FOLDER / "images.npy", images.reshape(-1, 8, 8).astype(np.uint8))
    np.save(FOLDER / "labels.npy", labels)
    digits = nf.Dataset(image=FOLDER / "images.npy", label=FOLDER / "labels.npy")
    digits = digits.map(image=[T.ToTensor(), T.Normalize(MEAN, STD)])
    train, test = digits.split([0.8, 0.2], seed=0)

    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 16, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(train, batch_size=BATCH_SIZE, shuffle=True)
    for _ in tqdm(range(EPOCHS), unit="epoch"):
        for image, label in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(image), label).backward()
            optimizer.step()

    with torch.no_grad():
        hits: int = sum(int((model(image).argmax(1) == label).sum()) for image, label in DataLoader(test, 64))
    ours = DataLoader(digits, batch_size=BATCH_SIZE, shuffle=True)
    plain = torch.utils.data.DataLoader(PlainDigits(), batch_size=BATCH_SIZE, shuffle=True)
    print(f"test accuracy     {hits / len(test):.4f}")
    print(f"waiting for data  {loader.stats().wait_ns / 1e9:.3f} s")
    print(f"npyfeed           {samples_per_second(ours):,.0f} samples/s")
    print(f"torch DataLoader  {samples_per_second(plain):,.0f} samples/s")


if __name__ == "__main__":
    main()
