"""What each kernel must move, and how often its code is gone through, from the sizes alone.

Where that depends on the values, it is what ``synthetic.py`` makes: a pan for the vectors, energies with long tails.
"""

from __future__ import annotations

from dataclasses import dataclass

PATCH, GROUP_SIZE, IMAGES_PER_GROUP, HEAD_DIM = 14, 32, 4, 64
#: canvases in pixels, high and wide
SIZES = ((504, 280), (392, 392))
SAMPLES = (256, 768)
#: passes of the bisections: over vectors within +-96 whose median is not 0 (2 where it is); over a group's energies
#: and a stretch's scores, until one is left
MEDIAN_PASSES, SCALE_PASSES, THRESHOLD_PASSES = 9, 16, 12


@dataclass(frozen=True)
class Work:
    """Of one launch."""

    #: every input read once, every output written once
    bytes: int
    #: programs, and how often one goes through its longest pass, or loop where it has no pass
    programs: int
    trips: int


def work(
    samples: int, height: int, width: int, value_bytes: int = 2, *, group_size: int = GROUP_SIZE
) -> dict[str, Work]:
    """The work of every kernel, by name; ``value_bytes`` is the size of one of the pixel values."""
    n, groups = samples, -(-samples // group_size)
    blocks = height * width // (2 * PATCH) ** 2
    cells = height * width // 16
    canvases = groups * IMAGES_PER_GROUP
    slots = canvases * blocks
    candidates = (n - groups) * blocks
    pixels = slots * 3 * (2 * PATCH) ** 2

    def chunks(total: int, chunk: int) -> int:
        return -(-total // chunk)

    half = HEAD_DIM // 2
    return {
        "motion_medians": Work(4 * n * cells + 8 * n, n, MEDIAN_PASSES),
        "energies": Work(n * (2 * height * width + 4 * cells + 8 + 8 * blocks), chunks(n * blocks, 16), PATCH // 2),
        "share_bits": Work(n * (12 * blocks + 8), n, chunks(blocks, 256)),
        "sum_profiles": Work(
            n * (height * width + 4 * (height + width)), n * (chunks(height, 32) + chunks(width, 32)), chunks(width, 32)
        ),
        "find_shifts": Work(n * (4 * (height + width) + 8), 2 * n, 33 * chunks(width, 128)),
        "measure_changes": Work(n * (2 * height * width + 4 * blocks), chunks(n * blocks, 4), chunks(PATCH**2, 32)),
        "lift_by_median": Work(8 * n * blocks, n, SCALE_PASSES * chunks(blocks, 256)),
        "relate_to_place": Work(8 * n * blocks, groups * chunks(blocks, 32), 2 * GROUP_SIZE),
        "group_scales": Work(16 * candidates, 3 * groups, SCALE_PASSES),
        "weigh": Work(20 * n * blocks, n * chunks(blocks, 256), 1),
        # The compiler takes four of the loop's steps at a time.
        "attenuate": Work(n * (8 * blocks + 8), n, chunks(blocks, 4)),
        "select": Work(4 * candidates + 8 * slots, groups * IMAGES_PER_GROUP, THRESHOLD_PASSES),
        "copy_blocks": Work(2 * pixels + 8 * slots + 48 * slots, slots, chunks(3 * PATCH**2, 256)),
        "gather_patches": Work(pixels * (1 + value_bytes) + 8 * slots + 96 * slots, slots, chunks(12 * PATCH**2, 512)),
        "rotate": Work(4 * slots * (24 + 8 * half), chunks(4 * slots, 16) * chunks(half, 32), 1),
    }
