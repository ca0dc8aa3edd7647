"""The tables and the plot of ``event_recall.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from report import align

Rows = Sequence[dict[str, Any]]


def _names(rows: Rows, key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


def _values(rows: Rows, what: str, **wanted: Any) -> list[float]:
    return [row[what] for row in rows if all(row[k] == v for k, v in wanted.items()) and row[what] is not None]


def mean_and_error(rows: Rows, what: str, **wanted: Any) -> tuple[float, float]:
    """Mean over scenarios of the mean over seeds, and its standard error: seeds differ, scenarios are given."""
    means, variances = [], []
    for scenario in _names(rows, "scenario"):
        values = _values(rows, what, scenario=scenario, **wanted)
        if not values:
            continue
        means.append(np.mean(values))
        variances.append(np.var(values, ddof=1) / len(values) if len(values) > 1 else np.nan)
    if not means:
        return np.nan, np.nan
    return float(np.mean(means)), float(np.sqrt(np.sum(variances)) / len(means))


def _counted(rows: Rows) -> str:
    """How many events count, and how many are in their clips no more."""
    clips = {(row["scenario"], row["seed"]): (row["events"], row["erased"]) for row in rows}
    events, erased = map(sum, zip(*clips.values(), strict=True))
    return f"{events} events, and {erased} that the encoder erased"


def _pooled(rows: Rows, what: str, contestant: str, budget: int) -> str:
    """How many of all clips' shots are shown, as a share if there are any."""
    counts = _values(rows, what, contestant=contestant, budget=budget)
    shown, of = map(sum, zip(*counts, strict=True)) if counts else (0, 0)
    return f"{shown / of:.3f} ({shown}/{of})" if of else ""


def report(rows: Rows) -> str:
    """Every contestant at every budget over all scenarios, then each scenario by itself."""
    budgets, contestants = _names(rows, "budget"), _names(rows, "contestant")
    seeds = _names(rows, "seed")
    lines = [
        f"{len({(r['scenario'], r['seed']) for r in rows})} clips; seeds {', '.join(map(str, seeds))}",
        _counted(rows),
        "",
        "recall: share of events with a kept block inside; mean over scenarios +- standard error over seeds",
        *align(
            [
                ("contestant", "", *(f"{b} canvases" for b in budgets)),
                *_recalls(rows, contestants, budgets),
            ]
        ),
    ]
    for what, title in (
        ("recall_with_erased", "recall of all events, those too of which the encoder left less than half"),
        ("sampled", "share of events with any sampled frame inside: what no selection can exceed"),
        ("distance", "median seconds from an event to the nearest kept block at its place; mean over clips"),
        ("spent", "share of the tokens that show an event"),
        ("canvases", "canvases made"),
    ):
        table = [("contestant", "", *(f"{b} canvases" for b in budgets))]
        for name in contestants:
            cells = [mean_and_error(rows, what, contestant=name, budget=b)[0] for b in budgets]
            table.append(
                (name, "", *("" if np.isnan(c) else f"{c:.3g}" if what == "canvases" else f"{c:.2f}" for c in cells))
            )
        lines += ["", title, *align(table)]
    for what, title in (
        ("shots", "shots of a second or longer with a whole frame, or blocks covering half of it, in clips with cuts"),
        ("shots_with_room", "of those whose halves leave a quarter of their group's P-canvases for what else happens"),
        ("shots_that_fit", "of clips whose every such shot would fit into all tokens, with a block of each event"),
    ):
        table = [("contestant", "", *(f"{b} canvases" for b in budgets))]
        table += [(name, "", *(_pooled(rows, what, name, budget) for budget in budgets)) for name in contestants]
        lines += ["", title, *align(table)]
    scenarios = _names(rows, "scenario")
    for budget in budgets:
        table = [("contestant", "", *scenarios)]
        for name in contestants:
            cells = [_values(rows, "recall", contestant=name, budget=budget, scenario=s) for s in scenarios]
            table.append((name, "", *(f"{np.mean(c):.2f}" if c else "" for c in cells)))
        lines += ["", f"recall at {budget} canvases, by scenario", *align(table)]
    return "\n".join(lines)


def _recalls(rows: Rows, contestants: Sequence[str], budgets: Sequence[int]) -> list[tuple[str, ...]]:
    table = []
    for name in contestants:
        cells = [mean_and_error(rows, "recall", contestant=name, budget=b) for b in budgets]
        clips = len({(r["scenario"], r["seed"]) for r in rows if r["contestant"] == name})
        texts = ("" if np.isnan(m) else f"{m:.3f}" + ("" if np.isnan(e) else f" +- {e:.3f}") for m, e in cells)
        table.append((name, f"({clips} clips)", *texts))
    return table


def plot(rows: Rows, path: Path) -> None:
    """Recall over the budget, all scenarios and each by itself."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    scenarios, budgets, contestants = (_names(rows, key) for key in ("scenario", "budget", "contestant"))
    figure, axes = pyplot.subplots(3, 3, figsize=(13, 11), sharex=True, sharey=True)
    for axis, scenario in zip(axes.flat, [None, *scenarios], strict=False):
        chosen = [row for row in rows if scenario in (None, row["scenario"])]
        for i, name in enumerate(contestants):
            cells = [mean_and_error(chosen, "recall", contestant=name, budget=b) for b in budgets]
            axis.errorbar(
                budgets,
                [mean for mean, _ in cells],
                [np.nan_to_num(error) for _, error in cells],
                label=name,
                marker="osD^vPX"[i // 10],
                color=f"C{i % 10}",
                linewidth=2 if name in ("default", "dense") else 1,
            )
        axis.set_title(scenario or "all scenarios")
        axis.set_xscale("log", base=2)
        axis.set_xticks(budgets, [str(b) for b in budgets])
        axis.set_ylim(0, 1.02)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("canvases")
    for axis in axes[:, 0]:
        axis.set_ylabel("recall of events")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=6)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=110)
