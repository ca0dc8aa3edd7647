"""The algorithm in plain Python and NumPy: the truth that every backend is compared with.

``README.md`` beside this file describes it; each module holds one stage, with the signature of its twins.
"""

from .bad_frames import bad_frames
from .block_bits import block_bits
from .block_energies import block_energies
from .change_scores import change_scores
from .fuse_scores import fuse_scores
from .pack_canvases import pack_canvases
from .pack_pixel_values import pack_pixel_values
from .partition_groups import partition_groups
from .probe import probe
from .read_samples import read_samples
from .rope_frequencies import rope_frequencies
from .sample_frames import sample_frames
from .select_blocks import select_blocks

__all__ = [
    "bad_frames",
    "block_bits",
    "block_energies",
    "change_scores",
    "fuse_scores",
    "pack_canvases",
    "pack_pixel_values",
    "partition_groups",
    "probe",
    "read_samples",
    "rope_frequencies",
    "sample_frames",
    "select_blocks",
]
