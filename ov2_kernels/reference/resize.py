"""Decoded pictures to RGB and luma at canvas size (algorithm, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..media import Array
from .demux import display_matrix, orientation, turn

# Kr and Kb of ITU-T H.273, table 4, by matrix coefficients.
KR_KB = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
    7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593),
}  # fmt: skip


def resize(frame: Any, height: int, width: int) -> tuple[Array, Array]:
    """RGB uint8 ``[height, width, 3]`` and luma uint8 ``[height, width]`` of a PyAV frame, upright."""
    turned = orientation(display_matrix(frame))
    h, w = (width, height) if turned[0] else (height, width)
    shrinks = h < frame.height or w < frame.width
    how = {"width": w, "height": h, "interpolation": "AREA" if shrinks else "BICUBIC"}
    if frame.format.is_rgb or frame.format.has_palette:
        rgb = frame.reformat(format="rgb24", **how).to_ndarray()
        y = frame.reformat(format="gray", **how).to_ndarray()
    else:
        components = _planes(frame) if shrinks else []
        if components:
            y, cb, cr = _average(frame, components, h, w)
        else:
            y, cb, cr = frame.reformat(format="yuv444p", src_color_range=2, dst_color_range=2, **how).to_ndarray()
        full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
        rgb = _to_rgb(y, cb, cr, full, *_matrix(int(frame.colorspace), frame.height))
    return turn(rgb, *turned), turn(y, *turned)


def axis_weights(samples: int, pixels: int, outputs: int, step: int = 1) -> Array:
    """Weights int64 ``[outputs, samples]`` of an axis, in 1/256; each row sums to 256.

    Each of the ``samples`` of a plane stands for ``step`` of the picture's ``pixels``.
    """
    x = np.arange(outputs)[:, None]
    # In units of 1/(2 * outputs) pixel all edges and centres are whole.
    extent, spacing = 2 * pixels, 2 * step * outputs
    if step * outputs <= pixels:
        edges = np.arange(samples + 1) * spacing
        edges[-1] = extent * outputs
        covered = np.clip(edges - extent * x, 0, extent)
        return np.diff((2 * 256 * covered + extent) // (2 * extent), axis=1)
    from_first = (2 * x + 1) * pixels - step * outputs
    lower = np.clip(from_first // spacing, 0, samples - 1)
    upper = np.clip((2 * 256 * (from_first - lower * spacing) + spacing) // (2 * spacing), 0, 256)
    weights = np.zeros((outputs, samples), dtype=np.int64)
    np.add.at(weights, (x, lower), 256 - upper)
    np.add.at(weights, (x, np.minimum(lower + 1, samples - 1)), upper)
    return weights


def _planes(frame: Any) -> list[Any]:
    """The components Y, or Y, Cb and Cr, where each is a plane of its own, of whole bytes or words; else nothing."""
    form = frame.format
    components = form.components[: 1 if len(form.components) < 3 else 3]
    own = [c.plane for c in components] == list(range(len(components))) and len(frame.planes) == len(form.components)
    whole = all(8 <= c.bits <= 16 for c in components) and not form.is_big_endian and not form.is_bit_stream
    return list(components) if own and whole else []


def _samples(frame: Any, component: Any) -> Array:
    """A plane's samples, uint8; deeper ones rounded, halves up."""
    plane = frame.planes[component.plane]
    depth = component.bits
    rows = np.frombuffer(plane, dtype=np.uint8 if depth == 8 else np.uint16)
    rows = rows.reshape(plane.height, -1)[: component.height, : component.width]
    if depth == 8:
        return rows
    drop = depth - 8
    rounded: Array = np.minimum((rows.astype(np.int64) + (1 << (drop - 1))) >> drop, 255)
    return rounded.astype(np.uint8)


def _average(frame: Any, components: list[Any], height: int, width: int) -> list[Array]:
    """Y, Cb and Cr at canvas size; grey where there is no colour."""
    planes = [np.full((height, width), 128, dtype=np.uint8)] * 3
    for i, component in enumerate(components):
        down = axis_weights(component.height, frame.height, height, _step(frame.height, component.height))
        across = axis_weights(component.width, frame.width, width, _step(frame.width, component.width))
        # Exact in float64: no sum passes 2**24.
        total = down.astype(float) @ _samples(frame, component) @ across.T.astype(float)
        planes[i] = ((total.astype(np.int64) + 32768) >> 16).astype(np.uint8)
    return planes


def _step(pixels: int, samples: int) -> int:
    return next(step for step in (1, 2, 4, 8) if -(-pixels // step) == samples)


def _matrix(colorspace: int, coded_height: int) -> tuple[float, float]:
    return KR_KB.get(colorspace, KR_KB[1] if coded_height >= 720 else KR_KB[6])


def _to_rgb(y: Array, cb: Array, cr: Array, full: bool, kr: float, kb: float) -> Array:
    kg = 1.0 - kr - kb
    luma, chroma = (1.0, 1.0) if full else (255.0 / 219.0, 255.0 / 224.0)

    def fixed(value: float) -> int:
        return int(np.floor(value * 65536.0 + 0.5))

    scaled = fixed(luma) * (y.astype(np.int64) - (0 if full else 16)) + 32768
    u, v = cb.astype(np.int64) - 128, cr.astype(np.int64) - 128
    r = scaled + fixed(chroma * 2.0 * (1.0 - kr)) * v
    g = scaled - fixed(chroma * 2.0 * (1.0 - kb) * kb / kg) * u - fixed(chroma * 2.0 * (1.0 - kr) * kr / kg) * v
    b = scaled + fixed(chroma * 2.0 * (1.0 - kb)) * u
    rgb: Array = np.clip(np.stack([r, g, b], axis=-1) >> 16, 0, 255)
    return rgb.astype(np.uint8)
