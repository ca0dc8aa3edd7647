"""What a frame's blocks differ by from other frames, and the sums of its rows and columns."""

from __future__ import annotations

import triton
import triton.language as tl

from .bytes import add_byte_distances, add_bytes, byte_distances, permute_bytes, places_beyond
from .launch import kernel

DEAD_ZONE = tl.constexpr(2)


@kernel(
    types={"luma": "*i32", "profiles": "*i32", "height": "i32", "width": "i32"},
    variants=({"LINES": 32, "WORDS": 32},),
    knows_ptx=True,
)
def sum_profiles(luma, profiles, height, width, LINES: tl.constexpr, WORDS: tl.constexpr, PTX: tl.constexpr):
    """Sums of a frame's rows, then of its columns: a program for ``LINES`` rows, or for ``4 * WORDS`` columns."""
    frame = tl.program_id(0).to(tl.int64)
    words_per_row = width // 4
    luma += frame * (height * words_per_row)
    profiles += frame * (height + width)
    of_rows = (height + LINES - 1) // LINES
    line = tl.arange(0, LINES)
    lane = tl.arange(0, WORDS)
    nothing = tl.zeros([LINES, WORDS], tl.uint32)
    if tl.program_id(1) < of_rows:
        y = tl.program_id(1) * LINES + line
        sums = nothing
        for start in range(0, words_per_row, WORDS):
            live = (y < height)[:, None] & (start + lane < words_per_row)[None, :]
            word = tl.load(luma + (y[:, None] * words_per_row + (start + lane)[None, :]), mask=live, other=0)
            sums = add_byte_distances(word.to(tl.uint32, bitcast=True), nothing, sums, PTX)
        tl.store(profiles + y, tl.sum(sums.to(tl.int32), 1), mask=y < height)
    else:
        x = (tl.program_id(1) - of_rows) * WORDS + lane
        columns = (nothing, nothing, nothing, nothing)
        for start in range(0, height, LINES):
            live = (start + line < height)[:, None] & (x < words_per_row)[None, :]
            word = tl.load(luma + ((start + line)[:, None] * words_per_row + x[None, :]), mask=live, other=0)
            word = word.to(tl.uint32, bitcast=True)
            first, second = columns[0] + (word & 255), columns[1] + ((word >> 8) & 255)
            columns = (first, second, columns[2] + ((word >> 16) & 255), columns[3] + (word >> 24))
        for i in tl.static_range(4):
            tl.store(profiles + height + 4 * x + i, tl.sum(columns[i].to(tl.int32), 0), mask=x < words_per_row)


@kernel(
    types={
        "luma": "*i32",
        "prev": "*i32",
        "shifts": "*i32",
        "changes": "*i32",
        "total": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=({"BLOCKS": 8, "WORDS": 8},),
    threads=32,
    knows_ptx=True,
)
def measure_changes(
    luma,
    prev,
    shifts,
    changes,
    total,
    height,
    width,
    patch,
    BLOCKS: tl.constexpr,
    WORDS: tl.constexpr,
    PTX: tl.constexpr,
):
    """Grey levels beyond the dead zone of ``BLOCKS`` blocks, since sample before, frame before, and both together.

    A lane takes words of four.
    What a distance ``d`` exceeds ``z`` by is ``(|d - z| + d - z) / 2``, so the sums of ``d`` and ``|d - z|`` are taken.
    """
    wb = width // (2 * patch)
    blocks = height // (2 * patch) * wb
    words_per_row = width // 4
    block = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    in_range = block < total
    frame = tl.where(in_range, block // blocks, 0)
    index = tl.where(in_range, block - frame * blocks, 0)
    # The first frame is compared with itself: it opens a group, whose changes count nowhere.
    earlier = tl.maximum(frame - 1, 0)
    size = height * words_per_row
    here = luma + (frame.to(tl.int64) * size)[:, None]
    before = luma + (earlier.to(tl.int64) * size)[:, None]
    shown = prev + (frame.to(tl.int64) * size)[:, None]
    down = tl.load(shifts + 2 * frame)[:, None]
    right = tl.load(shifts + 2 * frame + 1)[:, None]
    side = patch // 2
    first_row = (index // wb * (2 * patch))[:, None]
    lane = tl.arange(0, WORDS)[None, :]
    zone = tl.full([BLOCKS, WORDS], DEAD_ZONE * 0x01010101, tl.uint32)
    nothing = tl.zeros([BLOCKS, WORDS], tl.uint32)
    whole = nothing + 0x01010101
    # Twice the levels beyond the zone, and once the zone itself, for each pixel.
    unmoved = nothing
    followed = nothing
    since_frame = nothing
    means_unmoved = tl.zeros([BLOCKS], tl.int32)
    means_followed = means_unmoved
    for top in range(0, 2 * patch, patch):
        # Sums of the left of two patches, and of both: here, in the sample before, and there after the camera.
        left = (nothing, nothing, nothing)
        both = (nothing, nothing, nothing)
        for start in range(0, side, WORDS):
            word = start + lane
            live = in_range[:, None] & (word < side)
            column = (index % wb * side)[:, None] + word
            in_left = nothing + tl.where(4 * word + 4 <= patch, 0x01010101, tl.where(4 * word < patch, 0x0101, 0))
            # Where the camera's shift puts these pixels in the sample before: bytes of two words.
            x = 4 * column + right
            moved = tl.minimum(tl.maximum(x >> 2, 0), tl.maximum(words_per_row - 2, 0))
            places, _ = places_beyond(x - 4 * moved, -4 * moved, 4 * (words_per_row - moved) - 1)
            for row in range(top, top + patch, 2):
                a, b, c, d, e = (), (), (), (), ()
                for j in tl.static_range(2):
                    y = first_row + row + j
                    at = y * words_per_row + column
                    there = tl.minimum(tl.maximum(y + down, 0), height - 1) * words_per_row + moved
                    a += (tl.load(here + at, mask=live, other=0).to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
                    b += (tl.load(before + at, mask=live, other=0).to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
                    c += (tl.load(shown + at, mask=live, other=0).to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
                    d += (tl.load(before + there, mask=live, other=0).to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
                    rest = tl.load(before + there + 1, mask=live & (moved < words_per_row - 1), other=0)
                    e += (rest.to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
                for j in tl.static_range(2):
                    f = permute_bytes(d[j], e[j], places, PTX)
                    unmoved = _add_beyond(a[j], b[j], zone, nothing, unmoved, PTX)
                    followed = _add_beyond(a[j], f, zone, nothing, followed, PTX)
                    since_frame = _add_beyond(a[j], c[j], zone, nothing, since_frame, PTX)
                    left = _add_each(a[j], b[j], f, in_left, left, PTX)
                    both = _add_each(a[j], b[j], f, whole, both, PTX)
        means_unmoved += _apart(left[0] - left[1], both[0] - both[1], patch)
        means_followed += _apart(left[0] - left[2], both[0] - both[2], patch)
    # Lanes past a block's side saw equal pixels, and each of those added the zone like any other.
    zones = 4 * DEAD_ZONE * (2 * patch) * WORDS * ((side + WORDS - 1) // WORDS)
    changed_since_frame = (tl.sum(since_frame.to(tl.int32), 1) - zones) >> 1
    changed_since_sample = tl.minimum(
        ((tl.sum(unmoved.to(tl.int32), 1) - zones) >> 1) + means_unmoved,
        ((tl.sum(followed.to(tl.int32), 1) - zones) >> 1) + means_followed,
    )
    changes += block
    tl.store(changes, changed_since_sample, mask=in_range)
    tl.store(changes + total, changed_since_frame, mask=in_range)
    tl.store(changes + total + total, changed_since_sample + changed_since_frame, mask=in_range)


@triton.jit
def _add_beyond(a, b, zone, nothing, twice, PTX: tl.constexpr):
    """Adds ``d + |d - zone|`` for the distance ``d`` of each two bytes."""
    distances = byte_distances(a, b, PTX)
    return add_byte_distances(distances, nothing, add_byte_distances(distances, zone, twice, PTX), PTX)


@triton.jit
def _add_each(a, b, c, which, sums, PTX: tl.constexpr):
    """Adds those bytes of each of three words to its sum."""
    first, second = add_bytes(a, which, sums[0], PTX), add_bytes(b, which, sums[1], PTX)
    return first, second, add_bytes(c, which, sums[2], PTX)


@triton.jit
def _apart(left, both, patch):
    """Half of what the means of two patches differ by beyond a quarter of a grey level, added up for both."""
    of_left = tl.sum(left.to(tl.int32, bitcast=True), 1)
    of_right = tl.sum(both.to(tl.int32, bitcast=True), 1) - of_left
    level = patch * patch // 4
    return (tl.maximum(tl.abs(of_left) - level, 0) >> 1) + (tl.maximum(tl.abs(of_right) - level, 0) >> 1)
