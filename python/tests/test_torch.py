"""`npyfeed.torch`: torch tensors over the memory that the engine filled."""

import gc
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_becomes_torchs(dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, (10, 3)).astype(dtype)
    (batch,) = DataLoader(nf.Dataset(x=array), batch_size=10)
    assert batch.x.dtype == getattr(torch, dtype)
    assert torch.equal(batch.x, torch.from_numpy(array))


def test_batches_equal_those_of_torchs_own_loader() -> None:
    images = np.random.default_rng(0).normal(size=(50, 3, 8, 8)).astype("float32")
    labels = np.arange(50)
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    for drop_last in [False, True]:
        theirs = torch.utils.data.DataLoader(pairs, batch_size=16, drop_last=drop_last)
        ours = DataLoader(nf.Dataset(image=images, label=labels), batch_size=16, drop_last=drop_last)
        assert len(ours) == len(theirs)
        for (image, label), (expected_image, expected_label) in zip(ours, theirs, strict=True):
            assert torch.equal(image, expected_image)
            assert torch.equal(label, expected_label)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_dataset_works_under_torchs_own_loader(num_workers: int) -> None:
    dataset = nf.Dataset(x=np.arange(30, dtype="float32").reshape(10, 3), y=np.arange(10))
    as_any: Any = dataset
    timeout = 60 if num_workers else 0
    theirs: Any = torch.utils.data.DataLoader(as_any, 4, num_workers=num_workers, timeout=timeout)
    batches = list(theirs)
    assert torch.equal(torch.cat([batch.x for batch in batches]), torch.arange(30.0).reshape(10, 3))
    assert torch.cat([batch.y for batch in batches]).tolist() == list(range(10))


def test_tensors_share_the_engines_memory_and_train() -> None:
    loader = DataLoader(nf.Dataset(x=np.ones((4, 3), "float32")), batch_size=4, prefetch=1)
    addresses = {batch.x.data_ptr() for _ in range(100) for batch in loader}
    assert len(addresses) <= 1 + 4  # the engine's few buffers, again and again
    (batch,) = loader
    assert batch.x.data_ptr() in addresses
    batch.x.requires_grad_().sum().backward()
    assert batch.x.grad is not None


def test_a_tensor_that_is_kept_is_never_overwritten() -> None:
    dataset = nf.Dataset(x=np.arange(1000, dtype="float32").reshape(100, 10)).map(x=T.ToDtype("float64"))
    kept = [batch.x[1:] for batch in DataLoader(dataset, batch_size=2, prefetch=1)]
    assert len(kept) == 50
    gc.collect()
    for index, tensor in enumerate(kept):
        assert tensor.tolist() == [[20 * index + 10.0 + k for k in range(10)]]


def test_manual_seed_settles_the_order() -> None:
    dataset = nf.Dataset(x=np.arange(100))

    def order(seed: int) -> list[int]:
        torch.manual_seed(seed)
        return torch.cat([batch.x for batch in DataLoader(dataset, 7, shuffle=True)]).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(100))


def test_it_is_a_loader_that_begins_at_iter_and_says_what_was_chosen() -> None:
    loader = DataLoader(nf.Dataset(x=np.arange(10)), 4, num_workers=3)
    assert isinstance(loader, nf.Loader)
    epoch = iter(loader)
    assert loader.epoch == 1
    assert [batch.x.tolist() for batch in epoch] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert "npyfeed.torch.DataLoader" in repr(loader)
    assert "threads=3" in repr(loader)


def test_a_seed_of_its_own_leaves_torchs_generator_alone() -> None:
    state = torch.get_rng_state()
    list(DataLoader(nf.Dataset(x=np.arange(10)), 2, shuffle=True, seed=5))
    list(DataLoader(nf.Dataset(x=np.arange(10)), 2))
    assert torch.equal(torch.get_rng_state(), state)


def test_random_crops_follow_torchs_seed_without_a_shuffle_too() -> None:
    dataset = nf.Dataset(x=np.arange(4000).reshape(40, 10, 10)).map(x=T.RandSpatialCrop((3, 3)))

    def epoch(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return [batch.x.flatten().tolist() for batch in DataLoader(dataset, 8)]

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)


def test_epochs_differ_and_can_be_chosen() -> None:
    loader = DataLoader(nf.Dataset(x=np.arange(100)), 10, shuffle=True, seed=0)
    epochs = [torch.cat([batch.x for batch in loader]).tolist() for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    loader.set_epoch(1)
    assert torch.cat([batch.x for batch in loader]).tolist() == epochs[1]


def test_bfloat16_has_a_tensor_and_no_ndarray() -> None:
    dataset = nf.Dataset(x=np.arange(6, dtype="uint8")).map(x=T.ToDtype(torch.bfloat16))
    (batch,) = DataLoader(dataset, 6)
    assert batch.x.dtype == torch.bfloat16
    assert batch.x.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(nf.UnsupportedError, match="bfloat16"):
        nf.Loader(dataset, 6)
    with pytest.raises(nf.UnsupportedError, match="bfloat16"):
        dataset[0]


@pytest.mark.gpu
def test_a_batch_moves_to_the_gpu() -> None:
    (batch,) = DataLoader(nf.Dataset(x=np.arange(6)), 6)
    assert batch.x.to("cuda").cpu().tolist() == [0, 1, 2, 3, 4, 5]
