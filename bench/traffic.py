"""What each kernel must move, and how often its code is gone through, from the sizes alone."""

from __future__ import annotations

from dataclasses import dataclass

PATCH, GROUP_SIZE, IMAGES_PER_GROUP, HEAD_DIM = 14, 32, 4, 64
#: canvases in pixels, high and wide
SIZES = ((504, 280), (392, 392))
SAMPLES = (256, 768)
#: passes of a bisection over vectors within +-96, and over bits below 2**24
MEDIAN_PASSES, SCALE_PASSES = 8, 24


@dataclass(frozen=True)
class Work:
    """Of one launch."""

    #: every input read once, every output written once
    bytes: int
    #: programs, and how often one goes through its longest loop
    programs: int
    trips: int


def work(samples: int, height: int, width: int, value_bytes: int = 2) -> dict[str, Work]:
    """The work of every kernel, by name; ``value_bytes`` is the size of one of the pixel values."""
    n, groups = samples, samples // GROUP_SIZE
    blocks = height * width // (2 * PATCH) ** 2
    cells = height * width // 16
    canvases = groups * IMAGES_PER_GROUP
    slots = canvases * blocks
    candidates = (n - groups) * blocks
    pixels = slots * 3 * (2 * PATCH) ** 2
    stretch = GROUP_SIZE * blocks // (IMAGES_PER_GROUP - 1)

    def chunks(total: int, chunk: int) -> int:
        return -(-total // chunk)

    half = HEAD_DIM // 2
    return {
        "motion_medians": Work(4 * n * cells + 8 * n, n, MEDIAN_PASSES * chunks(cells, 1024)),
        "energies": Work(n * (2 * height * width + 4 * cells + 8 + 8 * blocks), chunks(n * blocks, 16), PATCH // 2),
        "share_bits": Work(n * (12 * blocks + 8), n, chunks(blocks, 256)),
        "measure_changes": Work(n * (height * width + 4 * blocks), chunks(n * blocks, 4), chunks(PATCH**2, 32)),
        "lift_by_median": Work(8 * n * blocks, n, SCALE_PASSES * chunks(blocks, 256)),
        "relate_to_place": Work(8 * n * blocks, groups * chunks(blocks, 32), 2 * GROUP_SIZE),
        "group_scales": Work(16 * candidates, 3 * groups, SCALE_PASSES * chunks(GROUP_SIZE * blocks, 4096)),
        "weigh": Work(20 * n * blocks, n * chunks(blocks, 256), 1),
        "attenuate": Work(n * (8 * blocks + 8), n, chunks(blocks, 64) * chunks(blocks, 16)),
        "select": Work(4 * candidates + 8 * slots, groups * IMAGES_PER_GROUP, chunks(stretch, 2048)),
        "copy_blocks": Work(2 * pixels + 8 * slots + 48 * slots, slots, chunks(3 * PATCH**2, 256)),
        "gather_patches": Work(pixels * (1 + value_bytes) + 8 * slots + 96 * slots, slots, chunks(12 * PATCH**2, 512)),
        "rotate": Work(4 * slots * (24 + 8 * half), chunks(4 * slots, 16) * chunks(half, 32), 1),
    }
