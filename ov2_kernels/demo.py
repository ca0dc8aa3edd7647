"""A first look: a clip tokenized and drawn."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .config import CodecConfig
from .contact_sheet import contact_sheet
from .tokenize import tokenize_video

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
    an earlier run made it; nothing is left behind where the work fails.
    """
    target = Path(output)
    ours = (target / "contact_sheet.png").exists() and (target / "tokens" / "meta.json").exists()
    if target.exists() and not (overwrite and ours):
        why = "exists already; overwrite replaces it" if ours else "exists and is not a demo's output"
        raise FileExistsError(f"{target}: {why}")
    tokens = tokenize_video(video or CLIP, config, backend=backend)
    sheet = contact_sheet(video or CLIP, tokens, backend=backend)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        sheet.save(fresh / "contact_sheet.png")
        tokens.save(fresh / "tokens")
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    return target / "contact_sheet.png"
