"""What each kernel must move, and how often its code is gone through, from the sizes alone.

Where that depends on the values, it is what ``synthetic.py`` makes: a pan for the vectors, energies with long tails.
"""

from __future__ import annotations

from dataclasses import dataclass

PATCH, GROUP_SIZE, IMAGES_PER_GROUP, HEAD_DIM = 14, 32, 4, 64
#: canvases in pixels, high and wide
SIZES = ((504, 280), (392, 392))
SAMPLES = (256, 768)
#: passes over vectors of which most are alike; of the bisections over a group's energies and a stretch's scores, until
#: one is left, and over the changes of a place
MEDIAN_PASSES, SCALE_PASSES, THRESHOLD_PASSES, PLACE_PASSES = 1, 16, 12, 18


#: bytes that a device's memory moves at a time
SECTOR = 32


@dataclass(frozen=True)
class Work:
    """Of one launch."""

    #: every input read once, every output written once; lines of scattered blocks in the sectors that memory moves
    bytes: int
    #: programs, and how often one goes through its longest pass, or loop where it has no pass
    programs: int
    trips: int


def line_bytes(width: int) -> float:
    """Of the sectors that a line of a block lies in, on average over the blocks of frames ``width`` pixels wide."""
    length = 6 * PATCH
    starts = [3 * y * width + x for y in range(SECTOR) for x in range(0, 3 * width, length)]
    return SECTOR * sum((at + length - 1) // SECTOR - at // SECTOR + 1 for at in starts) / len(starts)


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
    # An I-canvas takes whole frames, a P-canvas blocks from here and there.
    fetched = round(pixels * (1 + (IMAGES_PER_GROUP - 1) * line_bytes(width) / (6 * PATCH)) / IMAGES_PER_GROUP)

    def chunks(total: int, chunk: int) -> int:
        return -(-total // chunk)

    half = HEAD_DIM // 2
    return {
        "motion_medians": Work(4 * n * cells + 8 * n, n, MEDIAN_PASSES * chunks(cells, 1024)),
        "energies": Work(n * (2 * height * width + 4 * cells + 8 + 8 * blocks), chunks(n * blocks, 16), PATCH // 2),
        "share_bits": Work(n * (12 * blocks + 8), n, chunks(blocks, 256)),
        "sum_profiles": Work(
            n * (height * width + 4 * (height + width)),
            n * (chunks(height, 32) + chunks(width, 128)),
            chunks(height, 32),
        ),
        "find_shifts": Work(n * (4 * (height + width) + 8), 2 * n, 33 * chunks(width, 128)),
        "measure_changes": Work(n * (2 * height * width + 12 * blocks), chunks(n * blocks, 8), PATCH),
        "lift_by_median": Work(n * (12 * blocks + 4 * height + 8), n, 2 * SCALE_PASSES * chunks(blocks, 256)),
        # Rows and columns are only looked at where something else is shown.
        "find_new_shots": Work(16 * n + 8 * groups, n, 2 * chunks(groups, 128)),
        "relate_to_place": Work(8 * n * blocks, groups * chunks(blocks, 8), PLACE_PASSES),
        "group_scales": Work(16 * candidates, 3 * groups, SCALE_PASSES),
        "weigh": Work(20 * n * blocks, n * chunks(blocks, 256), 1),
        # The compiler takes four of the loop's steps at a time.
        "attenuate": Work(n * (8 * blocks + 8), n, chunks(blocks, 4)),
        "select": Work(4 * candidates + 8 * slots, groups * IMAGES_PER_GROUP, THRESHOLD_PASSES),
        "copy_blocks": Work(
            fetched + pixels + 56 * slots, slots * 2 * PATCH // width * chunks(3 * width // 4, 256), PATCH // 2
        ),
        "gather_patches": Work(fetched + pixels * value_bytes + 104 * slots, slots, chunks(PATCH**2 // 2, 128)),
        "rotate": Work(4 * slots * (24 + 8 * half), chunks(4 * slots, 16) * chunks(half, 32), 1),
    }
