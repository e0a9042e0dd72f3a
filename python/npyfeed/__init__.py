"""npyfeed feeds NumPy files to neural networks.

>>> import npyfeed as nf
>>> from npyfeed import transforms as T
>>> dataset = nf.Dataset(image="images.npy", label="labels.npy")  # doctest: +SKIP
>>> dataset = dataset.map(image=[T.ToTensor()])  # doctest: +SKIP
>>> for images, labels in nf.Loader(dataset, batch_size=32, shuffle=True):  # doctest: +SKIP
...     ...

A framework is imported only by its own module: `npyfeed.torch`, `npyfeed.tensorflow`, `npyfeed.jax`.
"""

from collections.abc import Mapping

from npyfeed import samplers
from npyfeed._native import Archive, Array, __version__, open, rows
from npyfeed.dataset import ColumnSpec, Dataset
from npyfeed.errors import FormatError, MismatchError, UnsupportedError
from npyfeed.loader import Loader, Stats
from npyfeed.save import save
from npyfeed.save_npz import save_npz
from npyfeed.writer import Writer

__all__ = [
    "Archive",
    "Array",
    "ColumnSpec",
    "Dataset",
    "FormatError",
    "Loader",
    "MismatchError",
    "Stats",
    "UnsupportedError",
    "Writer",
    "__version__",
    "open",
    "rows",
    "samplers",
    "save",
    "save_npz",
]

Mapping.register(Archive)
