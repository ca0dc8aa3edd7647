from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]

def probe(path: str | bytes, limits: Mapping[str, Any]) -> dict[str, Any]: ...
def read_samples(
    path: str | bytes,
    size: AnyArray,
    pts: AnyArray,
    is_key: AnyArray,
    decode_index: AnyArray,
    has_timestamps: bool,
    frame_indices: AnyArray,
    height: int,
    width: int,
    threads: int,
    motion: int,
    limits: Mapping[str, Any],
    progress: Callable[[int], None] | None,
    progress_at: AnyArray,
    frames: AnyArray | None,
    colors: KeptColors | None,
    luma: AnyArray,
    prev_luma: AnyArray,
) -> dict[str, Any]: ...
def lower_thread_priority() -> None: ...
def release_pictures(planes: U8, begin: int, end: int) -> None: ...

class KeptColors:
    def __init__(self, samples: int, height: int, width: int) -> None: ...
    def frames(self, luma: AnyArray, threads: int) -> U8: ...
    def release(self, begin: int, end: int) -> None: ...
    def pack_canvases(
        self,
        luma: AnyArray,
        selected: AnyArray,
        frame_ids: AnyArray,
        patch: int,
        threads: int,
        canvases: U8,
        positions: I32,
    ) -> None: ...

def bit_cost(
    path: str | bytes,
    size: AnyArray,
    pts: AnyArray,
    is_key: AnyArray,
    decode_index: AnyArray,
    frame_indices: AnyArray,
    threads: int,
    whole_bytes: bool,
    run_to_first_skipped: bool,
    terminate_to_nobody: bool,
    limits: Mapping[str, Any],
    progress: Callable[[int], None] | None,
) -> dict[str, Any]: ...
def ffmpeg_versions() -> dict[str, str]: ...
def sample_frames(
    size: AnyArray,
    pts: AnyArray,
    is_key: AnyArray,
    decode_index: AnyArray,
    time_base_num: int,
    time_base_den: int,
    max_samples: int,
    sampling: int,
    avoid_keyframes: bool,
    start_time: float,
    end_time: float,
    sample_fps: float,
) -> tuple[I64, int]: ...
def partition_groups(
    size: AnyArray,
    is_key: AnyArray,
    frame_ids: AnyArray,
    range_start: int,
    partition: int,
    max_groups: int,
    group_size: int,
    min_group_frames: int,
    max_group_frames: int,
) -> I64: ...
def block_energies(
    luma: AnyArray,
    prev_luma: AnyArray,
    motion: AnyArray,
    packet_bytes: AnyArray,
    patch: int,
    threads: int,
    instructions: int = ...,
) -> tuple[I32, I32, I64]: ...
def bad_frames(frames: AnyArray, threads: int) -> U8: ...
def block_bits(
    cells: AnyArray, edges_y: AnyArray, edges_x: AnyArray, height: int, width: int, patch: int, threads: int
) -> I64: ...
def change_scores(luma: AnyArray, prev_luma: AnyArray, group_edges: AnyArray, patch: int, threads: int) -> I32: ...

class Changes:
    def __init__(self, samples: int, height: int, width: int, patch: int, group_edges: AnyArray) -> None: ...
    def measure(self, luma: AnyArray, prev_luma: AnyArray, first: int, end: int, threads: int) -> None: ...
    def scores(self, first_group: int, end_group: int, threads: int) -> I32: ...

def fuse_scores(
    residual: AnyArray,
    motion_energy: AnyArray,
    bits: AnyArray,
    group_edges: AnyArray,
    motion_weight: int,
    residual_weight: int,
    bits_weight: int,
    patch: int,
    threads: int,
) -> I32: ...
def select_blocks(
    scores: AnyArray, group_edges: AnyArray, attenuation: AnyArray, images_per_group: int, global_: bool, threads: int
) -> I64: ...
def pack_canvases(
    frames: AnyArray,
    selected: AnyArray,
    frame_ids: AnyArray,
    patch: int,
    threads: int,
    canvases: U8,
    positions: I32,
) -> None: ...
def pack_pixel_values(
    frames: AnyArray, selected: AnyArray, frame_ids: AnyArray, table: AnyArray, patch: int, threads: int
) -> tuple[AnyArray, I64]: ...
