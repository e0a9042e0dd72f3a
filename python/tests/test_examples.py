"""The examples run, and reach what they promise."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_digits_reaches_its_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "digits.py"), run_name="__main__")
    printed = capsys.readouterr().out
    accuracy = re.search(r"test accuracy +(\d\.\d+)", printed)
    rates = re.findall(r"([\d,]+) samples/s", printed)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.97
    assert len(rates) == 2
    assert re.search(r"waiting for data +\d+\.\d+ s", printed)


def test_digits_is_at_most_80_lines() -> None:
    assert len((EXAMPLES / "digits.py").read_text().splitlines()) <= 80
