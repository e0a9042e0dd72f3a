"""docs/formats.md says what dtypes become; the frameworks say so too.

That the table on the page is the engine's own is held by `crates/npyfeed/tests/formats_page.rs`.
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npyfeed as nf
from npyfeed.torch import DataLoader

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def rows() -> list[dict[str, str]]:
    """The table of dtypes, each row by the heads of its columns, without marks."""
    found = re.search(r"<!-- dtypes -->\n(.*)<!-- /dtypes -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "the markers"
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in found[1].splitlines()]
    cells = [[cell.strip().strip("`").replace("\\|", "|") for cell in line] for line in lines]
    return [dict(zip(cells[0], line, strict=True)) for line in cells[2:]]


ROWS = rows()
EVERY = pytest.mark.parametrize("row", ROWS, ids=[row["dtype"] for row in ROWS])


def array_of(row: dict[str, str]) -> "np.ndarray[Any, Any]":
    """Three elements of the dtype, by NumPy or what it is taught by `ml_dtypes`."""
    if row["in NumPy"].startswith("bits"):
        pytest.importorskip("ml_dtypes", reason=f"NumPy has no {row['dtype']} without it")
    return np.zeros(3, row["dtype"])


def test_every_dtype_has_its_row() -> None:
    with pytest.raises(nf.UnsupportedError, match="unknown dtype") as refused:
        nf.Dataset(x=np.zeros(3)).map(x=nf.transforms.ToDtype("none"))
    named = str(refused.value).split("expected one of ")[1].split(", ")
    assert [row["dtype"] for row in ROWS] == named


@EVERY
def test_numpy_writes_the_type_string_of_the_page(row: dict[str, str], tmp_path: Path) -> None:
    array = array_of(row)
    np.save(tmp_path / "array.npy", array)
    assert f"'descr': '{row['type string']}'".encode() in (tmp_path / "array.npy").read_bytes()
    assert array.itemsize == int(row["bytes"])


@EVERY
def test_torch_has_the_dtype_of_the_page(row: dict[str, str], tmp_path: Path) -> None:
    array = array_of(row)
    np.save(tmp_path / "array.npy", array)
    if "V" not in row["type string"]:  # a file cannot say what these are
        assert str(nf.open(tmp_path / "array.npy").torch().dtype) == f"torch.{row['PyTorch']}"
    (batch,) = DataLoader(nf.Dataset(x=array), 3)
    assert str(batch.x.dtype) == f"torch.{row['PyTorch']}"


# JAX starts threads when it is first used, and warns of every fork after that; TensorFlow prints. So they are
# asked in a process of their own.
ASKS = {
    "TensorFlow": """
import tensorflow
name_of = lambda array: tensorflow.convert_to_tensor(array).dtype.name
""",
    "JAX": """
import jax
jax.config.update("jax_enable_x64", True)
name_of = lambda array: jax.numpy.asarray(array).dtype.name
""",
}
ASK_ALL = """
import json, sys
import ml_dtypes
import numpy
print(json.dumps({dtype: name_of(numpy.zeros(3, dtype)) for dtype in sys.argv[1:]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("framework", ASKS)
def test_the_frameworks_have_the_dtypes_of_the_page(framework: str) -> None:
    for module in [framework.lower(), "ml_dtypes"]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    dtypes = [row["dtype"] for row in ROWS if row[framework] != "–"]  # noqa: RUF001, the page's dash
    command = [sys.executable, "-c", ASKS[framework] + ASK_ALL, *dtypes]
    answer = subprocess.run(command, capture_output=True, check=True, text=True, timeout=100)
    assert json.loads(answer.stdout) == {
        row["dtype"]: row[framework] for row in ROWS if row["dtype"] in dtypes
    }
