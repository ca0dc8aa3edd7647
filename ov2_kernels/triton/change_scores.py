"""One score per block from what changed since the sample and since the frame before (algorithm, section 6)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .bytes import add_byte_distances, add_bytes, byte_distances, permute_bytes, places_beyond
from .launch import ceil_div, kernel, send_edges, words
from .order_statistic import order_statistic

DEAD_ZONE = tl.constexpr(2)
USUAL = tl.constexpr(8191)
PERCENT = tl.constexpr(90)
REACH = tl.constexpr(16)
ELSEWHERE = tl.constexpr(8)
ALIKE = tl.constexpr(4)
STEADY = tl.constexpr(4)
PATIENCE = tl.constexpr(6)
NEW_SHOT = tl.constexpr(5 * 8191)


def change_scores(
    luma: torch.Tensor, prev_luma: torch.Tensor, group_edges: torch.Tensor, *, patch: int = 14, threads: int = 1
) -> torch.Tensor:
    """Scores the blocks by how much more they changed, since the sample and the frame before, than their place does.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]`` on any device. Returns int32
    ``[N, hb, wb]``, zero in each group's first sample. Source: algorithm, section 6.
    """
    n, height, width = luma.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    edges = send_edges(group_edges, luma.device)
    luma, prev = words(luma), words(prev_luma)
    scores, changes = luma.new_empty((n, hb, wb)), luma.new_empty((3, n, hb, wb))
    profiles, shifts, elsewhere = luma.new_empty((n, height + width)), luma.new_empty((n, 2)), luma.new_empty((n,))
    light, opening = torch.empty_like(elsewhere, dtype=torch.int64), torch.empty_like(elsewhere)
    total = n * hb * wb
    sum_profiles((n, ceil_div(height, 32) + ceil_div(width, 128)), luma, profiles, height, width, LINES=32, WORDS=32)
    find_shifts((n, 2), profiles, shifts, height, width, CHUNK=128)
    planes = (luma, prev, shifts, changes)
    measure_changes((ceil_div(total, 8),), *planes, total, height, width, patch, BLOCKS=8, WORDS=8)
    lift_by_median((n,), changes, profiles, scores, elsewhere, light, total, hb * wb, patch, height, width, CHUNK=256)
    groups = len(group_edges) - 1
    find_new_shots((n,), profiles, elsewhere, light, opening, edges, groups, height, width, CHUNK=128)
    places = (groups, ceil_div(hb * wb, 8))
    relate_to_place(places, scores, edges, opening, hb, wb, patch, SAMPLES=128, PLACES=8)
    return scores


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


@triton.jit
def _cost(here, there, shift, margin, side, CHUNK: tl.constexpr):
    lane = tl.arange(0, CHUNK)
    costs = tl.zeros([CHUNK], tl.int64)
    for start in range(margin, side - margin, CHUNK):
        at = start + lane
        live = at < side - margin
        difference = tl.load(here + at, mask=live, other=0) - tl.load(there + at + shift, mask=live, other=0)
        costs += tl.abs(difference)
    return tl.sum(costs, 0)


@kernel(
    types={"profiles": "*i32", "shifts": "*i32", "height": "i32", "width": "i32"},
    variants=({"CHUNK": 128},),
    threads=32,
)
def find_shifts(profiles, shifts, height, width, CHUNK: tl.constexpr):
    """How far down and right in the sample before lies what a frame shows: a program per frame and axis."""
    frame, axis = tl.program_id(0), tl.program_id(1)
    side = tl.where(axis == 0, height, width)
    reach = tl.minimum(REACH, side // 4)
    offset = tl.where(axis == 0, 0, height)
    here = profiles + frame.to(tl.int64) * (height + width) + offset
    there = profiles + tl.maximum(frame - 1, 0).to(tl.int64) * (height + width) + offset
    unmoved = _cost(here, there, 0, reach, side, CHUNK)
    least = unmoved
    best = reach * 0
    for i in range(1, 2 * reach + 1):
        shift = tl.where(i % 2 == 0, i // 2, -((i + 1) // 2))
        cost = _cost(here, there, shift, reach, side, CHUNK)
        best = tl.where(cost < least, shift, best)
        least = tl.minimum(cost, least)
    tl.store(shifts + 2 * frame + axis, tl.where(2 * least < unmoved, best, 0))


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


@kernel(
    types={
        "changes": "*i32",
        "profiles": "*i32",
        "scores": "*i32",
        "elsewhere": "*i32",
        "light": "*i64",
        "total": "i32",
        "blocks": "i32",
        "patch": "i32",
        "height": "i32",
        "width": "i32",
    },
    variants=({"CHUNK": 256},),
)
def lift_by_median(
    changes, profiles, scores, elsewhere, light, total, blocks, patch, height, width, CHUNK: tl.constexpr
):
    """Takes the lower median over a frame's blocks off each of them, and adds up its light: one program per frame.

    Where it shows something else than the sample before, only what changed since the frame before counts.
    """
    changes += tl.program_id(0).to(tl.int64) * blocks
    scores += tl.program_id(0).to(tl.int64) * blocks
    median, _ = order_statistic(changes, blocks, (blocks - 1) // 2, CHUNK)
    other = median >= ELSEWHERE * 4 * patch * patch
    tl.store(elsewhere + tl.program_id(0), other.to(tl.int32))
    changes += total
    changes += tl.where(other, 0, total)
    median, _ = order_statistic(changes, blocks, (blocks - 1) // 2, CHUNK)
    lane = tl.arange(0, CHUNK)
    for start in range(0, blocks, CHUNK):
        live = start + lane < blocks
        value = tl.load(changes + start + lane, mask=live, other=0)
        tl.store(scores + start + lane, tl.maximum(value - median, 0), mask=live)
    profiles += tl.program_id(0).to(tl.int64) * (height + width)
    rows = tl.zeros([CHUNK], tl.int64)
    for start in range(0, height, CHUNK):
        rows += tl.load(profiles + start + lane, mask=start + lane < height, other=0)
    tl.store(light + tl.program_id(0), tl.sum(rows, 0))


@triton.jit
def _elsewhere(elsewhere, t, first, end):
    """Whether a frame of the group shows something else than the one before; those outside, and its first, do not."""
    return tl.load(elsewhere + t, mask=(t > first) & (t < end), other=0) != 0


@triton.jit
def _settled(elsewhere, light, t, first, end, steady):
    """Whether the two frames behind one are in its group, show nothing else, and have its light if that matters yet."""
    lane = tl.arange(0, PATIENCE + 2)
    at = t + 1 - PATIENCE + lane
    behind = lane >= PATIENCE
    other = _elsewhere(elsewhere, at, first, end).to(tl.int32)
    calm = tl.max(tl.where(behind, 0, other), 0) == 0
    light_behind = tl.load(light + at, mask=behind & (at < end), other=0)
    change = tl.max(tl.where(behind, tl.abs(light_behind - tl.load(light + t)), 0), 0)
    return (t + 2 < end) & (calm | (change < steady)) & (tl.max(tl.where(behind, other, 0), 0) == 0)


@kernel(
    types={
        "profiles": "*i32",
        "elsewhere": "*i32",
        "light": "*i64",
        "opening": "*i32",
        "edges": "*i64",
        "groups": "i32",
        "height": "i32",
        "width": "i32",
    },
    variants=({"CHUNK": 128},),
    threads=32,
)
def find_new_shots(profiles, elsewhere, light, opening, edges, groups, height, width, CHUNK: tl.constexpr):
    """Which frames are the first of a new shot, once the picture has settled: one program per frame.

    What is as it was before the picture became unsettled is none: after a flash the shot goes on.
    """
    frame = tl.program_id(0)
    sides = height + width
    lane = tl.arange(0, CHUNK)
    first = frame * 0
    for start in range(0, groups, CHUNK):
        edge = tl.load(edges + start + lane, mask=start + lane < groups, other=0).to(tl.int32)
        first = tl.maximum(first, tl.max(tl.where(edge <= frame, edge, 0), 0))
    end = tl.num_programs(0)
    for start in range(0, groups, CHUNK):
        edge = tl.load(edges + 1 + start + lane, mask=start + lane < groups, other=0).to(tl.int32)
        end = tl.minimum(end, tl.min(tl.where(edge > frame, edge, end), 0))
    pixels = height.to(tl.int64) * width
    steady = pixels * STEADY
    unsettled = tl.where(_elsewhere(elsewhere, frame, first, end), frame, end)  # since this frame
    is_new = _settled(elsewhere, light, frame, first, end, steady)
    if is_new:
        t = frame - 1
        while (t > first) & ~_settled(elsewhere, light, tl.maximum(t, 0), first, end, steady):
            unsettled = tl.where(_elsewhere(elsewhere, t, first, end), t, unsettled)
            t -= 1
        is_new = unsettled < end
        if is_new:
            here, there = profiles + frame.to(tl.int64) * sides, profiles + (unsettled - 1).to(tl.int64) * sides
            is_new = _cost(here, there, 0, 0, sides, CHUNK) >= pixels * ALIKE
    tl.store(opening + frame, is_new.to(tl.int32))


@kernel(
    types={"scores": "*i32", "edges": "*i64", "opening": "*i32", "hb": "i32", "wb": "i32", "patch": "i32"},
    variants=({"SAMPLES": 128, "PLACES": 8},),
)
def relate_to_place(scores, edges, opening, hb, wb, patch, SAMPLES: tl.constexpr, PLACES: tl.constexpr):
    """Divides the changes of up to ``PLACES`` places by what is usual there: a program per group and places.

    The program bisects for that, all places at once; the first ``SAMPLES`` stay in registers. Of the first frame of a
    new shot every other block counts instead.
    """
    group = tl.program_id(0)
    first = tl.load(edges + group)
    count = (tl.load(edges + group + 1) - first - 1).to(tl.int32)
    blocks = hb * wb
    index = tl.program_id(1) * PLACES + tl.arange(0, PLACES)
    scores += index
    there = (index < blocks)[None, :]
    tl.store(scores + first * blocks, tl.zeros([PLACES], tl.int32), mask=index < blocks)
    lane = tl.arange(0, SAMPLES)
    sample = first + 1 + lane
    changes = scores[None, :] + sample[:, None] * blocks
    kept = tl.load(changes, mask=there & (lane < count)[:, None], other=0)
    greatest = tl.max(kept, 0)
    for start in range(SAMPLES, count, SAMPLES):
        live = there & (start + lane < count)[:, None]
        change = tl.load(scores[None, :] + (sample + start)[:, None] * blocks, mask=live, other=0)
        greatest = tl.maximum(greatest, tl.max(change, 0))
    least = tl.zeros([PLACES], tl.int32)
    rank = PERCENT * tl.maximum(count - 1, 0).to(tl.int64) // 100
    while tl.max(greatest - least, 0) > 0:
        middle = least + ((greatest - least) >> 1)
        upto = tl.sum(((kept <= middle[None, :]) & (lane < count)[:, None]).to(tl.int32), 0)
        for start in range(SAMPLES, count, SAMPLES):
            live = there & (start + lane < count)[:, None]
            change = tl.load(scores[None, :] + (sample + start)[:, None] * blocks, mask=live, other=0)
            upto += tl.sum(((change <= middle[None, :]) & live).to(tl.int32), 0)
        enough = upto > rank
        least = tl.where(enough, least, middle + 1)
        greatest = tl.where(enough, middle, greatest)
    usual = patch * patch // 2 + least
    shown = tl.where((index // wb + index % wb) % 2 == 0, NEW_SHOT, 0)
    for start in range(0, count, SAMPLES):
        live = there & (start + lane < count)[:, None]
        at = scores[None, :] + (sample + start)[:, None] * blocks
        related = tl.load(at, mask=live, other=0).to(tl.int64) * USUAL // usual[None, :]
        score = (tl.minimum(related, 65535) + tl.maximum(related - 65535, 0) // 256).to(tl.int32)
        is_new = tl.load(opening + sample + start, mask=start + lane < count, other=0) != 0
        tl.store(at, tl.where(is_new[:, None], shown[None, :], score), mask=live)
