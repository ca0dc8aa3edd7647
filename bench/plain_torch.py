"""The stages after decoding in plain torch: what the kernels are timed against. Equal bits, whole-tensor operators."""

from __future__ import annotations

import itertools

import torch
from ov2_kernels.tables import attenuation_table, rope_inverse_frequencies, sine_constants
from torch import Tensor


def block_energies(
    luma: Tensor, prev: Tensor, motion: Tensor, packet_bytes: Tensor, *, patch: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Residual, motion and bits of each block (algorithm, section 5)."""
    n, height, width = luma.shape
    side = 2 * patch
    hb, wb = height // side, width // side
    vectors = motion.int()
    per_pixel = vectors.repeat_interleave(4, 1).repeat_interleave(4, 2)
    x = torch.arange(width, device=luma.device) + (per_pixel[..., 0] >> 2)
    y = torch.arange(height, device=luma.device)[:, None] + (per_pixel[..., 1] >> 2)
    fx, fy = per_pixel[..., 0] & 3, per_pixel[..., 1] & 3
    flat = prev.view(n, -1)

    def tap(dy: int, dx: int) -> Tensor:
        index = (y + dy).clamp(0, height - 1) * width + (x + dx).clamp(0, width - 1)
        return flat.gather(1, index.view(n, -1)).view(n, height, width).int()

    above = tap(0, 0) * (4 - fx) + tap(0, 1) * fx
    below = tap(1, 0) * (4 - fx) + tap(1, 1) * fx
    predicted = (above * (4 - fy) + below * fy + 8) >> 4
    residual = (luma.int() - predicted).abs().view(n, hb, side, wb, side).sum((2, 4), dtype=torch.int32)

    median = vectors.view(n, -1, 2).median(dim=1).values[:, None, None]
    relative = (vectors - median).clamp(-2047, 2047)
    length = (16 * (relative * relative).sum(-1).float().sqrt()).int()
    speed = length.view(n, hb, side // 4, wb, side // 4)
    motion_energy = speed.sum((2, 4), dtype=torch.int32)

    weight = residual.long() + side * side // 16
    bits = 2048 * packet_bytes[:, None, None] * weight // weight.sum((1, 2), keepdim=True)
    return residual, motion_energy, bits


def change_scores(luma: Tensor, prev_luma: Tensor, edges: list[int], *, patch: int) -> Tensor:
    """One score per block from what changed since the sample and the frame before (algorithm, section 6)."""
    n, height, width = luma.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    wide, before = luma.int(), luma[:-1].int()

    def beyond(other: Tensor) -> Tensor:
        levels = ((wide[1:] - other).abs() - 2).clamp(min=0)
        return levels.view(n - 1, hb, 2 * patch, wb, 2 * patch).sum((2, 4))

    def since(other: Tensor) -> Tensor:
        apart = (wide[1:] - other).view(n - 1, 2 * hb, patch, 2 * wb, patch).sum((2, 4)).abs()
        means = (apart - patch * patch // 4).clamp(min=0) // 2
        return beyond(other) + means.view(n - 1, hb, 2, wb, 2).sum((2, 4))

    rows = (torch.arange(height, device=luma.device) + _shifts(wide.sum(2))[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=luma.device) + _shifts(wide.sum(1))[:, None]).clamp(0, width - 1)
    followed = before.gather(1, rows[:, :, None].expand(-1, -1, width))
    followed = followed.gather(2, columns[:, None, :].expand(-1, height, -1))

    def median(sums: Tensor) -> Tensor:
        return sums.view(n - 1, -1).median(dim=1).values[:, None, None]

    since_sample = since(before).minimum(since(followed))
    elsewhere = median(since_sample) >= 8 * (2 * patch) ** 2
    sums = since_sample * ~elsewhere + beyond(prev_luma[1:].int())
    change = (sums - median(sums)).clamp(min=0)
    profiles = torch.cat([wide.sum(2), wide.sum(1)], dim=1)
    place = torch.arange(hb, device=luma.device)[:, None] + torch.arange(wb, device=luma.device)
    every_other = 40955 * (1 - place % 2).int()
    scores = torch.zeros((n, hb, wb), dtype=torch.int32, device=luma.device)
    for first, end in itertools.pairwise(edges):
        if end - first > 1:
            of_group = change[first : end - 1]
            usual = patch * patch // 2 + of_group.sort(0).values[90 * (len(of_group) - 1) // 100]
            related = of_group * 8191 // usual
            scores[first + 1 : end] = (related.clamp(max=65535) + (related - 65535).clamp(min=0) // 256).int()
            new = _new_shots(profiles[first:end], elsewhere[first : end - 1].flatten(), height, width)
            scores[first + 1 : end][new] = every_other
    return scores


def _new_shots(profiles: Tensor, elsewhere: Tensor, height: int, width: int) -> Tensor:
    """Which samples of a group but its first, which ``elsewhere`` leaves out, are the first of a new shot."""
    other = torch.nn.functional.pad(elsewhere, (1, 0))
    places = torch.arange(len(other), device=other.device)
    light = profiles[:, :height].sum(1)
    steps = torch.stack([(light.roll(-k) - light).abs() for k in (1, 2)]).amax(0)
    lately = torch.nn.functional.pad(other, (5, 0)).unfold(0, 6, 1).any(1)
    calm = ~other.roll(-1) & ~other.roll(-2) & (places < len(other) - 2)
    settled = calm & ((steps < 4 * height * width) | ~lately)
    settled[0] = True
    # Since the sample settled last, the first that shows something else.
    settled_last = torch.where(settled, places, 0).cummax(0).values.roll(1)
    settled_last[0] = 0
    others = torch.where(other, places, len(other)).flip(0).cummin(0).values.flip(0)
    unsettled = others[(settled_last + 1).clamp(max=len(other) - 1)]
    differ = (profiles - profiles[(unsettled - 1).clamp(min=0)]).abs().sum(1) >= 4 * height * width
    return (settled & (unsettled <= places) & differ)[1:]


def _shifts(sums: Tensor) -> Tensor:
    """By how many pixels each sample's sums lie further on in those of the sample before, ``[n - 1]``."""
    side = sums.shape[1]
    reach = min(16, side // 4)
    order = sorted(range(-reach, reach + 1), key=lambda shift: (abs(shift), shift))
    middle = sums[1:, reach : side - reach]
    costs = torch.stack([(middle - sums[:-1, reach + s : side - reach + s]).abs().sum(1) for s in order])
    least = costs.min(0).values
    best = torch.tensor(order, device=sums.device)[(costs == least).int().argmax(0)]
    return torch.where(2 * least < costs[0], best, 0)


def fuse_scores(residual: Tensor, motion: Tensor, bits: Tensor, edges: list[int], *, patch: int) -> Tensor:
    """One score per block (algorithm, section 6)."""
    scores = torch.zeros_like(bits)
    floors = (64 * (patch // 2) ** 2, 2 * (2 * patch) ** 2, 1)
    for first, end in itertools.pairwise(edges):
        for energy, floor in zip((motion, residual, bits), floors, strict=True):
            candidates = energy[first + 1 : end].long()
            if candidates.numel():
                rank = (95 * candidates.numel() + 99) // 100 - 1
                scale = candidates.flatten().sort().values[rank].clamp(min=floor)
                scores[first + 1 : end] += 256 * (candidates.minimum(scale) * 65535 // scale)
    return scores.int()


def select_blocks(scores: Tensor, edges: list[int], *, images_per_group: int = 4) -> Tensor:
    """Source block of every block of every canvas (algorithm, section 7)."""
    n, hb, wb = scores.shape
    blocks = hb * wb
    table = torch.tensor(attenuation_table(blocks), device=scores.device).long()
    flat = scores.view(n, blocks).long()
    ahead = torch.searchsorted(flat.sort(dim=1).values, flat, right=True)
    attenuated = flat * table[blocks - ahead] >> 16
    every = torch.arange(n * blocks, device=scores.device).view(n, blocks)
    canvases = []
    for first, end in itertools.pairwise(edges):
        canvases.append(every[first])
        count = min(images_per_group - 1, end - first - 1)
        if not count:
            continue
        best = attenuated[first + 1 : end].flatten().sort(descending=True, stable=True).indices[: count * blocks]
        canvases += ((first + 1) * blocks + best.sort().values).view(count, blocks)
    return torch.stack(canvases)


def _blocks(frames: Tensor, selected: Tensor, patch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels ``[slots, 2, patch, 2, patch, 3]`` of the selected blocks, and their frame, row and column."""
    n, height, width, _ = frames.shape
    wb = width // (2 * patch)
    sample, block = (
        selected.flatten() // (height // (2 * patch) * wb),
        selected.flatten() % (height // (2 * patch) * wb),
    )
    view = frames.view(n, height // (2 * patch), 2, patch, wb, 2, patch, 3)
    pixels = view[sample, block // wb, :, :, block % wb]
    return pixels, sample, block // wb, block % wb


def pack_canvases(frames: Tensor, selected: Tensor, frame_ids: Tensor, *, patch: int) -> tuple[Tensor, Tensor]:
    """Canvases and the origin of their patches (algorithm, section 8)."""
    count, _ = selected.shape
    _, height, width, _ = frames.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    pixels, sample, row, column = _blocks(frames, selected, patch)
    canvases = pixels.view(count, hb, wb, 2 * patch, 2 * patch, 3).transpose(2, 3).reshape(count, height, width, 3)
    two = torch.arange(2, device=frames.device)
    t = frame_ids[sample].view(count, hb, 1, wb, 1).expand(-1, -1, 2, -1, 2)
    h = (2 * row.view(count, hb, 1, wb, 1) + two[:, None, None]).expand_as(t)
    w = (2 * column.view(count, hb, 1, wb, 1) + two).expand_as(t)
    return canvases, torch.stack([t, h, w], dim=-1).view(-1, 3).int()


def pack_pixel_values(
    frames: Tensor, selected: Tensor, frame_ids: Tensor, table: Tensor, *, patch: int
) -> tuple[Tensor, Tensor]:
    """The encoder's rows and the origin of their patches (algorithm, section 9)."""
    pixels, sample, row, column = _blocks(frames, selected, patch)
    rows = pixels.permute(0, 1, 3, 5, 2, 4).reshape(-1, 3, patch * patch)
    values = torch.stack([table[c][rows[:, c].int()] for c in range(3)], dim=1).view(len(rows), -1)
    k = torch.arange(4, device=frames.device)
    t = frame_ids[sample][:, None].expand(-1, 4)
    h, w = 2 * row[:, None] + k // 2, 2 * column[:, None] + k % 2
    return values, torch.stack([t, h, w], dim=-1).view(-1, 3)


def rope_frequencies(positions: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each patch's rotation angles (algorithm, section 9)."""
    unit = head_dim // 32
    axis = torch.tensor([0] * 4 * unit + [1] * 6 * unit + [2] * 6 * unit, device=positions.device)
    inverse = torch.tensor(rope_inverse_frequencies(head_dim), device=positions.device)
    a = (positions[:, axis].float() * inverse).double()
    constants = sine_constants().tolist()
    turns = torch.floor(a * constants[0] + 0.5)
    r = a - turns * constants[1] - turns * constants[2]
    square = r * r
    sine, cosine = torch.full_like(r, constants[10]), torch.full_like(r, constants[18])
    for k in range(6, -1, -1):
        sine = sine * square + constants[3 + k]
        cosine = cosine * square + constants[11 + k]
    sine = r + r * (square * sine)
    cosine = square * cosine + 1.0
    quarter = turns - 4.0 * torch.floor(turns * 0.25)
    odd = (quarter == 1) | (quarter == 3)
    cos = torch.where(odd, sine, cosine) * torch.where((quarter == 1) | (quarter == 2), -1.0, 1.0)
    sin = torch.where(odd, cosine, sine) * torch.where(quarter >= 2, -1.0, 1.0)
    return cos.float(), sin.float()
