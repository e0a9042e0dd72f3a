"""What all tests share: the rule that skips GPU tests on machines without one, and a folder in memory."""

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Triton 3.9, which torchvision imports, ends the process if TensorFlow 2.21 was imported before it: each
# brings an LLVM, and the second registers its options again. The other way round they get along.
with contextlib.suppress(ImportError):
    importlib.import_module("triton")

MEMORY_FILES = Path("/dev/shm")  # noqa: S108 - Linux's file system in memory; folders in it get random names


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: thousands of files are put "on disk" in no time there."""
    if not MEMORY_FILES.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as folder:
        yield Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where torch finds no CUDA device."""
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items:
        return
    import torch  # noqa: PLC0415 - a run without GPU tests should not wait for torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no CUDA device: torch.cuda.is_available() is false"))
