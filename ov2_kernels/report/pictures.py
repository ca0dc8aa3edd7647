"""Pictures small enough to travel inside a page."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from PIL import Image

from ..dispatch import resolve_threads
from ..media import Array

#: (scale, JPEG quality), from what looks best to what takes least
LADDER = (
    (1.0, 82),
    (1.0, 70),
    (1.0, 55),
    (1.0, 40),
    (0.75, 50),
    (0.75, 35),
    (0.5, 45),
    (0.5, 30),
    (0.35, 30),
    (0.2, 30),
    (0.2, 20),
)


def jpegs_within(pictures: Array, max_bytes: int) -> list[bytes]:
    """Pictures, uint8 ``[N, H, W, 3]``, as JPEG files of ``max_bytes`` at most together, as good as that allows.

    Raises ``ValueError`` where even the smallest do not fit.
    """
    # Pillow gives up the GIL while it compresses.
    with ThreadPoolExecutor(resolve_threads(None)) as pool:
        for step in LADDER:
            few = list(pool.map(partial(_jpeg, step=step), pictures[:: max(1, len(pictures) // 16)]))
            if sum(map(len, few)) * len(pictures) > 1.25 * max_bytes * len(few):
                continue
            jpegs = list(pool.map(partial(_jpeg, step=step), pictures))
            if sum(map(len, jpegs)) <= max_bytes:
                return jpegs
    raise ValueError(f"max_bytes leaves too little room, {max(0, max_bytes)} bytes, for {len(pictures)} pictures")


def _jpeg(picture: Array, step: tuple[float, int]) -> bytes:
    scale, quality = step
    image = Image.fromarray(picture)
    if scale < 1:
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX
        )
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=scale < 0.5)  # or their tables take more than the picture
    return file.getvalue()
