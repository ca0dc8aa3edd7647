"""Looking at a result: a video tokenized, and the page, the contact sheet or the video that shows what was kept."""

from __future__ import annotations

import os
from pathlib import Path

from .config import CodecConfig
from .contact_sheet import contact_sheet
from .fresh_files import check_file, fresh_file, write_picture
from .mask_video import write_mask_video
from .report import html_report
from .video import Progress, tokenize_video


def view_video(
    video: str | os.PathLike[str],
    config: CodecConfig | None = None,
    *,
    page: str | os.PathLike[str] | None = None,
    png: str | os.PathLike[str] | None = None,
    mask_video: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    backend: str = "auto",
    progress: Progress | None = None,
) -> list[Path]:
    """Tokenizes ``video`` and writes what is asked for: an HTML ``page``, a contact sheet, a video of the kept blocks.

    Returns the paths written. Before any work, ``FileExistsError`` where one exists and ``overwrite`` is not set, or is
    the video or no regular file; ``ValueError`` where two are the same, or ``png`` does not end in ``.png``. Each file
    appears whole or not at all. ``progress`` is called as by :func:`tokenize_video`, and for a page and a mask video
    once more each, as they read the samples again.
    """
    targets = {name: Path(path) for name, path in (("page", page), ("png", png), ("mask_video", mask_video)) if path}
    _check(targets, video, overwrite)
    tokens = tokenize_video(video, config, backend=backend, progress=progress)
    count = len(tokens.frame_ids)
    again = None if progress is None else lambda done: progress("look", done, count)
    if "page" in targets:
        text = html_report(tokens, video, progress=again, backend=backend)
        with fresh_file(targets["page"]) as fresh:
            fresh.write_text(text, encoding="utf-8")
    if "png" in targets:
        sheet = contact_sheet(video, tokens, backend=backend)
        with fresh_file(targets["png"]) as fresh:
            write_picture(fresh, sheet, "PNG")
    if "mask_video" in targets:
        write_mask_video(targets["mask_video"], tokens, video, progress=again, backend=backend)
    return list(targets.values())


def _check(targets: dict[str, Path], video: str | os.PathLike[str], overwrite: bool) -> None:
    """Raises where an output cannot be written, or would replace the video or another output."""
    names: dict[str, str] = {}
    for name, target in targets.items():
        check_file(target, overwrite=overwrite, source=video)
        other = names.setdefault(os.path.realpath(target), name)
        if other != name:
            raise ValueError(f"{other} and {name} must be different files, both are {target}")
    if "png" in targets and targets["png"].suffix.lower() != ".png":
        raise ValueError(f"{targets['png']}: a contact sheet is a PNG, so its name must end in .png")
