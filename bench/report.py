"""The tables of ``end_to_end.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

#: (dividend, divisor, what is compared with what)
RATIOS = (
    ("lmms", "ours", "whole process against whole process, canvases in memory"),
    ("cv-preinfer", "ours-assets", "whole process against whole process, JPEG assets written"),
    ("cv-preinfer", "ours", "whole process against whole process, theirs writes JPEG assets"),
    ("tokenize", "decode", "inside the process"),
)
STAGES = ("probe", "plan", "read", "score", "select", "pack")
LATE_STAGES = ("score", "select", "pack")

LMMS_GOAL, CV_PREINFER_GOAL, DECODE_GOAL, PEAK_GOAL, STAGES_GOAL = 20.0, 3.0, 2.2, 400e6, 0.2


def clip_report(clip: str, rows: Mapping[str, Any], repeats: int) -> str:
    """Medians and peaks, our stages, and ratios of one clip."""
    facts = rows["tokenize"].facts.get("clip")
    about = (
        f": {facts['codec']} {facts['width']}x{facts['height']}, {facts['frames']} frames, {facts['fps']:g} fps; "
        f"{facts['samples']} samples, motion {facts['motion']}"
        if facts
        else ""
    )
    lines = [
        "",
        f"{Path(clip).name}{about}",
        f"{repeats} rounds; cpu is of the whole process; peak is that of its largest member, 1 MB = 10^6 bytes",
    ]
    table = [("contestant", "measured", "median s", "min s", "max s", "cpu s", "peak MB", "canvases", "")]
    for row in rows.values():
        measured = "inside" if row.inside else "process"
        if row.median is None:
            table.append((row.contestant, measured, "failed", "", "", "", "", "", row.error or "not run"))
            continue
        table.append(
            (
                row.contestant,
                measured,
                f"{row.median:.3f}",
                f"{min(row.seconds):.3f}",
                f"{max(row.seconds):.3f}",
                f"{median(row.cpu):.3f}",
                f"{row.peak / 1e6:.0f}",
                "" if row.canvases is None else str(row.canvases),
                row.what,
            )
        )
    lines += align(table)
    if rows["tokenize"].median is not None:
        lines.append(_stages(rows["tokenize"]))
    lines += _ratios(rows)
    return "\n".join(lines)


def align(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: text to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if i < 2 or i == len(row) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def late_share(row: Any) -> float:
    """What scoring, selection and packing take of the total; what of them goes on beside reading takes nothing."""
    return float(sum(row.stage(name) for name in LATE_STAGES) / row.stage("total"))


def _stages(row: Any) -> str:
    late = f"score + select + pack are {100 * late_share(row):.1f} % of the total, those beside reading left out"
    parts = ", ".join(f"{name} {1000 * row.stage(name):.1f}" for name in (*STAGES, "total"))
    return f"  tokenize, medians in ms: {parts}; {late}"


def _quotient(rows: Mapping[str, Any], dividend: str, divisor: str) -> float | None:
    above, below = (rows[name].median if name in rows else None for name in (dividend, divisor))
    return above / below if above is not None and below is not None else None


def _ratios(rows: Mapping[str, Any]) -> list[str]:
    lines = []
    for dividend, divisor, how in RATIOS:
        ratio = _quotient(rows, dividend, divisor)
        if ratio is None:
            continue
        text = (
            f"  {rows[dividend].median:.3f} s of {dividend} / {rows[divisor].median:.3f} s of {divisor} = {ratio:.2f}"
        )
        lines.append(f"{text} ({how})")
    return lines


def goals_report(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Each goal on each clip: what was reached, and whether that is enough."""
    table = [("goal", "clip", "reached", "")]
    for clip, rows in results.items():
        name = Path(clip).name
        lmms = _quotient(rows, "lmms", "ours")
        cv_preinfer = _quotient(rows, "cv-preinfer", "ours-assets")
        decode = _quotient(rows, "tokenize", "decode")
        peaks = [rows[key].peak for key in ("tokenize", "ours", "ours-assets")]
        peak = max(peaks) if None not in peaks else None
        share = None if rows["tokenize"].median is None else late_share(rows["tokenize"])
        table += [
            _goal(f"lmms / ours >= {LMMS_GOAL:g}", name, lmms, ".1f", lmms is not None and lmms >= LMMS_GOAL),
            _goal(
                f"cv-preinfer / ours-assets >= {CV_PREINFER_GOAL:g}",
                name,
                cv_preinfer,
                ".2f",
                cv_preinfer is not None and cv_preinfer >= CV_PREINFER_GOAL,
            ),
            _goal(
                f"tokenize / decode <= {DECODE_GOAL:g}",
                name,
                decode,
                ".2f",
                decode is not None and decode <= DECODE_GOAL,
            ),
            _goal(
                f"peak MB of ours <= {PEAK_GOAL / 1e6:g}",
                name,
                None if peak is None else peak / 1e6,
                ".0f",
                peak is not None and peak <= PEAK_GOAL,
            ),
            _goal(
                f"(score + select + pack) / total < {STAGES_GOAL:g}",
                name,
                share,
                ".3f",
                share is not None and share < STAGES_GOAL,
            ),
        ]
    return "\n".join(["", "goals (medians divided as said)", *align(table)])


def _goal(text: str, clip: str, reached: float | None, form: str, good: bool) -> tuple[str, str, str, str]:
    if reached is None:
        return text, clip, "not measured", ""
    return text, clip, format(reached, form), "yes" if good else "no"
