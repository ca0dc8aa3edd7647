"""A first look: a clip tokenized and drawn."""

from __future__ import annotations

import os
from pathlib import Path

from .assets import FILES
from .config import CodecConfig
from .contact_sheet import contact_sheet
from .fresh_files import check_directory, fresh_directory, write_picture
from .video import tokenize_video

#: A synthetic scene made for this package: a still landscape, a thrown ball, and a lamp that blinks once.
CLIP = Path(__file__).parent / "data" / "demo.mp4"


def run_demo(
    output: str | os.PathLike[str],
    *,
    video: Path | None = None,
    config: CodecConfig | None = None,
    backend: str = "auto",
    overwrite: bool = False,
) -> Path:
    """Tokenizes ``video``, or the packaged clip, and writes ``contact_sheet.png`` and ``tokens/`` into ``output``.

    Returns the path of the sheet. An ``output`` that exists raises ``FileExistsError`` unless ``overwrite`` is set and
    it is empty or an earlier run's; nothing is left behind where the work fails.
    """
    target = Path(output)

    def check() -> None:
        ours = rf"contact_sheet\.png|tokens/(?:{FILES})?"
        check_directory(target, "a demo's output", "contact_sheet.png", ours, overwrite=overwrite, source=video or CLIP)

    check()
    tokens = tokenize_video(video or CLIP, config, backend=backend)
    sheet = contact_sheet(video or CLIP, tokens, backend=backend)
    with fresh_directory(target, check) as fresh:
        write_picture(fresh / "contact_sheet.png", sheet, "PNG")
        tokens.save(fresh / "tokens")
    return target / "contact_sheet.png"
