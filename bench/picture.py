"""Draws a record: `python bench/picture.py bench/record/<name>.json` writes `<name>.svg` beside it.

One panel a workload, one bar a contender: its samples/s as a part of the limit's in the same run.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

OURS_COLOUR, PEER_COLOUR = "#d1495b", "#8d99ae"
INCHES_PER_BAR, INCHES_PER_PANEL, WIDTH_INCHES = 0.24, 0.75, 7.5


def draw(record: Path) -> Path:
    """The picture of a record's raw numbers, beside it."""
    import matplotlib as mpl  # noqa: PLC0415 - a run without the package is recorded without a picture

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = record.stem  # the same record gives the same picture
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of `svg`

    workloads = [
        _medians(workload) for workload in json.loads(record.read_text(encoding="utf-8"))["workloads"]
    ]
    bars = [len(medians) - 1 for _, _, medians in workloads]
    height = sum(INCHES_PER_PANEL + INCHES_PER_BAR * count for count in bars)
    figure, panels = plt.subplots(
        len(workloads),
        figsize=(WIDTH_INCHES, height),
        squeeze=False,
        height_ratios=bars,
        layout="constrained",
    )
    for panel, (name, batch_size, medians) in zip(panels[:, 0], workloads, strict=True):
        _panel(panel, f"{name}, batch {batch_size}", medians)
    panels[-1, 0].set_xlabel("% of the limit: a C loop that gathers, widens and stores, and nothing else")
    picture = record.with_suffix(".svg")
    figure.savefig(picture, metadata={"Date": None})
    plt.close(figure)
    return picture


def _medians(workload: dict[str, Any]) -> tuple[str, int, dict[str, float]]:
    """Name, batch size, and samples/s of each contender; the better kind of store is the `limit`."""
    medians = {
        name: statistics.median(answer["samples_per_s"] for answer in answers)
        for name, answers in workload["rates"].items()
    }
    limit = max(median for name, median in medians.items() if name.startswith("limit-"))
    contenders = {name: median for name, median in medians.items() if not name.startswith("limit-")}
    return workload["workload"], workload["batch_size"], {**contenders, "limit": limit}


def _panel(panel: Any, title: str, medians: dict[str, float]) -> None:  # noqa: ANN401 - matplotlib's axes
    limit = medians["limit"]
    contenders = {name: median for name, median in medians.items() if name != "limit"}
    colours = [OURS_COLOUR if name.startswith("npyfeed") else PEER_COLOUR for name in contenders]
    percents = [100 * median / limit for median in contenders.values()]
    drawn = panel.barh(list(contenders), percents, color=colours)
    panel.bar_label(drawn, [f" {median:,.0f}/s" for median in contenders.values()], fontsize=8)
    panel.set_title(f"{title}: limit {limit:,.0f} samples/s", loc="left", fontsize=10)
    panel.set_xlim(0, 115)
    panel.invert_yaxis()
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def main() -> int:
    """Exit status 0; 2 without a record."""
    if len(sys.argv) != 2:
        print(f"usage: {sys.argv[0]} bench/record/<name>.json", file=sys.stderr)
        return 2
    print(draw(Path(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
