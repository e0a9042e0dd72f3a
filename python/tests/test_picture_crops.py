"""Crops of pictures are torchvision's, in its rounding and out of the places that were drawn."""

import itertools
from typing import Any

import pytest
import torch
from test_crops import assert_same, ours, samples, theirs
from torchvision.transforms import v2

import npyfeed as nf
from npyfeed import transforms as T


def test_center_crop_is_torchvisions_and_rounds_as_it_does() -> None:
    for height, width in itertools.product(range(5, 12), range(5, 12)):
        array = samples((3, height, width), "float32")
        sizes: list[Any] = [(1, 2), (4, 5), (5, 4), 3]
        for size in sizes:
            assert_same(ours(array, T.CenterCrop(size)), theirs(array, v2.CenterCrop(size)))


def test_center_crop_behind_to_tensor_is_torchvisions() -> None:
    for shape in [(9, 12, 3), (9, 12), (12, 9, 1)]:
        array = samples(shape, "uint8")
        tensors = ours(array, T.ToTensor())
        assert_same(ours(array, T.ToTensor(), T.CenterCrop((6, 5))), theirs(tensors, v2.CenterCrop((6, 5))))
    video = samples((4, 3, 9, 12), "uint8")
    assert_same(ours(video, T.CenterCrop(8)), theirs(video, v2.CenterCrop(8)))


def test_random_crop_is_torchvisions_crop_at_the_place_drawn() -> None:
    array = samples((9, 12, 3), "uint8", 20)
    dataset = nf.Dataset(x=array).map(x=[T.ToTensor(), T.RandomCrop((4, 5))])
    tensors, found = torch.from_numpy(ours(array, T.ToTensor())), dataset[:].x
    for index, tensor in enumerate(tensors):
        (drawn,) = dataset.draw(0, index)["x"]
        expected = v2.functional.crop(tensor, drawn.corner[0], drawn.corner[1], 4, 5)
        assert_same(found[index], expected.numpy())


@pytest.mark.parametrize("crop", [T.CenterCrop(2), T.RandomCrop(2)])
def test_pictures_with_channels_last_want_to_tensor_first(crop: T.Transform) -> None:
    with pytest.raises(nf.MismatchError, match=r"step 1 \(\w+Crop\): .*put ToTensor\(\) before it"):
        nf.Dataset(x=samples((9, 12, 3), "uint8")).map(x=crop)
