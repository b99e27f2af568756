"""Runs as a picture: recall against latency, each run's metrics with their intervals; risk against coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import NotReady, WrongUsage
from rag.evaluation.significance import Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
LEGEND = 24  # characters of a run's name


@dataclass(frozen=True, slots=True)
class Plotted:
    """A run as it is drawn."""

    name: str
    metrics: Mapping[str, Mean]
    p50_ms: float | None  # None: it came from a run file, and is left out where latency is drawn


def check(path: Path) -> None:
    """Raise WrongUsage for a file that cannot be drawn to, NotReady where matplotlib is not installed."""
    if path.suffix.lower() not in FORMATS:
        raise WrongUsage(f"{path} does not end in {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise WrongUsage(f"there is no folder {path.absolute().parent}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise NotReady("plots need matplotlib: pip install 'rag[plots]'") from error


def draw(path: Path, runs: Sequence[Plotted], metrics: Sequence[str], recall: str) -> None:
    """Draw the runs to a PNG, SVG or PDF file: left `recall` against the median latency, right `metrics` by run."""
    check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    _recall(left, runs, recall)
    _bars(right, runs, metrics)
    right.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    _save(figure, path)


def draw_risk(path: Path, points: Sequence[tuple[float, float]], area: float) -> None:
    """Draw a risk-coverage curve to a PNG, SVG or PDF file; `points` are coverages and risks, `area` is what lies
    under them."""
    check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([coverage for coverage, _ in points], [risk for _, risk in points], drawstyle="steps-post")
    axes.set_xlabel("coverage: share of questions answered")
    axes.set_ylabel("risk: share of these that should not have been")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    axes.set_title(f"risk and coverage, AURC {area:.4f}")
    axes.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: "Figure", path: Path) -> None:
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise WrongUsage(f"{path} cannot be written: {error.strerror}") from error


def _recall(axes: "Axes", runs: Sequence[Plotted], recall: str) -> None:
    timed = [(run, run.p50_ms) for run in runs if run.p50_ms is not None]
    for number, run in enumerate(runs):
        if run.p50_ms is None:
            continue
        found = run.metrics[recall]
        axes.errorbar(
            [run.p50_ms],
            [found.value],
            yerr=[[found.value - found.low], [found.high - found.value]],
            fmt="o",
            capsize=3,
            color=f"C{number}",
        )
        axes.annotate(_short(run.name), (run.p50_ms, found.value), xytext=(6, 6), textcoords="offset points", size=8)
    axes.set_xlabel("median retrieval latency, ms")
    axes.set_ylabel(recall)
    axes.set_title(f"{recall} against latency" if timed else "no run here was timed")
    if timed:
        axes.set_xlim(0, 1.5 * max(p50 for _, p50 in timed) or 1)
    axes.grid(alpha=0.3)


def _bars(axes: "Axes", runs: Sequence[Plotted], metrics: Sequence[str]) -> None:
    places = np.arange(len(metrics))  # (m,)
    width = 0.8 / len(runs)
    for number, run in enumerate(runs):
        found = [run.metrics[name] for name in metrics]
        axes.bar(
            places + (number - (len(runs) - 1) / 2) * width,
            [one.value for one in found],
            width,
            yerr=[[one.value - one.low for one in found], [one.high - one.value for one in found]],
            capsize=2,
            color=f"C{number}",
            label=_short(run.name),
        )
    axes.set_xticks(places, metrics, rotation=20, ha="right", size=8)
    axes.set_ylim(0, 1)
    axes.set_title("metrics with 95 % intervals")
    axes.grid(axis="y", alpha=0.3)


def _short(name: str) -> str:
    """A name as it is drawn; matplotlib would read dollar signs as formulas, and hide labels that begin with _."""
    shown = name if len(name) <= LEGEND else name[: LEGEND - 1] + "…"
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")
