"""Four bytes of a word at a time, in one instruction where the device has it.

``PTX`` tells whether a kernel is compiled for NVIDIA's devices; elsewhere, and interpreted, the same is put together
from plain arithmetic. :class:`ov2_kernels.triton.launch.Kernel` fills it in.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def permute_bytes(low, high, places, PTX: tl.constexpr):
    """A word of four of the eight bytes of ``low`` and ``high``, uint32: the places, 0 to 7, are hex digits."""
    if PTX:
        return tl.inline_asm_elementwise(
            "prmt.b32 $0, $1, $2, $3;", "=r,r,r,r", [low, high, places], dtype=tl.uint32, is_pure=True, pack=1
        )
    pair = low.to(tl.uint64) | (high.to(tl.uint64) << 32)
    word = tl.zeros_like(low)
    for i in tl.static_range(4):
        place = ((places >> (4 * i)) & 7).to(tl.uint64)
        word |= ((pair >> (8 * place)).to(tl.uint32) & 0xFF) << (8 * i)
    return word


@triton.jit
def byte_distances(a, b, PTX: tl.constexpr):
    """The absolute difference of each two bytes, in its place; uint32."""
    if PTX:
        return tl.inline_asm_elementwise(
            "vabsdiff4.u32.u32.u32 $0, $1, $2, $3;", "=r,r,r,r", [a, b, 0], dtype=tl.uint32, is_pure=True, pack=1
        )
    word = tl.zeros_like(a)
    for i in tl.static_range(4):
        difference = ((a >> (8 * i)) & 0xFF).to(tl.int32) - ((b >> (8 * i)) & 0xFF).to(tl.int32)
        word |= tl.abs(difference).to(tl.uint32) << (8 * i)
    return word


@triton.jit
def add_byte_distances(a, b, total, PTX: tl.constexpr):
    """``total`` and the four absolute differences of bytes; uint32."""
    if PTX:
        return tl.inline_asm_elementwise(
            "vabsdiff4.u32.u32.u32.add $0, $1, $2, $3;",
            "=r,r,r,r",
            [a, b, total],
            dtype=tl.uint32,
            is_pure=True,
            pack=1,
        )
    for i in tl.static_range(4):
        difference = ((a >> (8 * i)) & 0xFF).to(tl.int32) - ((b >> (8 * i)) & 0xFF).to(tl.int32)
        total += tl.abs(difference).to(tl.uint32)
    return total


@triton.jit
def add_bytes(word, which, total, PTX: tl.constexpr):
    """``total`` and the bytes for which ``which`` has a byte of 1, not 0; uint32."""
    if PTX:
        return tl.inline_asm_elementwise(
            "dp4a.u32.u32 $0, $1, $2, $3;", "=r,r,r,r", [word, which, total], dtype=tl.uint32, is_pure=True, pack=1
        )
    for i in tl.static_range(4):
        total += ((word >> (8 * i)) & 0xFF) * ((which >> (8 * i)) & 0xFF)
    return total


@triton.jit
def places_beyond(x, first, last):
    """Where in two words stand the four bytes from ``x`` on, and the four from ``x + 1`` on, for ``permute_bytes``.

    Those beyond the row, which begins at ``first`` and ends at ``last``, are its outermost.
    """
    these = tl.minimum(tl.maximum(x, first), last)
    for i in tl.static_range(1, 4):
        these |= tl.minimum(tl.maximum(x + i, first), last) << (4 * i)
    next_ones = (these >> 4) | (tl.minimum(tl.maximum(x + 4, first), last) << 12)
    return these.to(tl.uint32), next_ones.to(tl.uint32)
