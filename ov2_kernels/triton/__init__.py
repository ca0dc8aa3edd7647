"""The stages after decoding as Triton kernels, with the signatures of their twins in :mod:`ov2_kernels.reference`.

The functions take and return torch tensors on a CUDA or ROCm device, or on the CPU where Triton interprets
(``TRITON_INTERPRET=1``). They look at sizes and at ``group_edges`` alone, never at what is on the device, so that a
pipeline that keeps ``group_edges`` on the host never waits. ``threads`` is there for the signature's sake.
"""

from .block_energies import block_energies
from .change_scores import change_scores
from .fuse_scores import fuse_scores
from .launch import default_device, send, send_edges
from .pack_canvases import pack_canvases
from .pack_pixel_values import pack_pixel_values
from .rope_frequencies import rope_frequencies
from .select_blocks import select_blocks

__all__ = [
    "block_energies",
    "change_scores",
    "default_device",
    "fuse_scores",
    "pack_canvases",
    "pack_pixel_values",
    "rope_frequencies",
    "select_blocks",
    "send",
    "send_edges",
]
