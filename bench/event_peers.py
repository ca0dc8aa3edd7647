"""The programs people run today, and which blocks of a clip they keep."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from event_contestants import Footage
from event_measures import Kept
from peers import CV_PREINFER_ARGUMENTS
from processes import run_child

#: Canvases of the size of ours, that all may spend the same tokens; else it enlarges small pictures.
LMMS_CODE = """\
import json, sys
import numpy as np
from lmms_video_utils import fetch_codec_video
clip, canvases, max_pixels, directory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
out = fetch_codec_video(
    clip, target_canvas=canvases, max_pixels=max_pixels, min_pixels=1, score_mode="mvwarp", gop_mode="bitcost"
)
np.save(directory + "/src_patch_position.npy", out.patch_positions.numpy())
json.dump({"hb_wb": [n // 14 for n in out.canvases.shape[2:]]}, open(directory + "/meta.json", "w"))
"""


def peer_blocks(name: str, environment: Path, clip: Path, canvases: int, footage: Footage, timeout: float) -> Kept:
    """What a peer keeps at a budget; ``RuntimeError`` where it fails."""
    with tempfile.TemporaryDirectory(prefix="ov2_kernels_bench_") as directory:
        if name == "cv-preinfer":
            arguments = {**CV_PREINFER_ARGUMENTS, "--num_sampled_frames": str(canvases // 4 * 32)}
            flags = [word for pair in arguments.items() for word in pair if word]
            program = str(environment / "bin" / "cv-preinfer")
            command = [program, "--video", str(clip), "--out_dir", directory, *flags]
        else:
            size = str(footage.height * footage.width)
            python = str(environment / "bin" / "python")
            command = [python, "-c", LMMS_CODE, str(clip), str(canvases), size, directory]
        done = run_child(command, timeout)
        if done.error:
            raise RuntimeError(f"{name} on {clip.name}: {done.error}")
        positions = np.load(Path(directory, "src_patch_position.npy"))
        meta = json.loads(Path(directory, "meta.json").read_text())
    hp, wp = meta["hb_wb"]
    return Kept.of_positions(positions.astype(np.int64), (hp, wp))
