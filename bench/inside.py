"""What is measured inside a process: ``inside.py decode|tokenize CLIP THREADS`` prints one JSON object.

A fresh process for each measurement makes its peak memory that of the work, and nothing is warm.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def decode(clip: str, threads: int) -> dict[str, Any]:
    """Plain libav decode of the whole clip; each frame is dropped as it comes."""
    import av

    start = time.perf_counter()
    with av.open(clip) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        frames = sum(1 for _ in container.decode(stream))
    seconds = time.perf_counter() - start
    libavcodec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return {"seconds": seconds, "frames": frames, "versions": {"av": av.__version__, "libavcodec of av": libavcodec}}


def tokenize(clip: str, threads: int) -> dict[str, Any]:
    """Our main job, with the time of each stage."""
    import numpy as np
    import ov2_kernels
    from ov2_kernels import _core, tokenize_video

    start = time.perf_counter()
    tokens = tokenize_video(clip, threads=threads)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "timings": tokens.timings,
        "canvases": len(tokens.canvases),
        "clip": {
            "codec": tokens.codec,
            "width": tokens.source_width,
            "height": tokens.source_height,
            "frames": tokens.total_frames,
            "fps": tokens.fps,
            "samples": len(tokens.frame_ids),
            "motion": tokens.motion_source,
        },
        "versions": {
            "ov2_kernels": ov2_kernels.__version__,
            "numpy": np.__version__,
            "FFmpeg": _core.ffmpeg_versions()["ffmpeg"],
            "libavcodec": _core.ffmpeg_versions()["libavcodec"],
        },
    }


if __name__ == "__main__":
    job, path, count = sys.argv[1:]
    print(json.dumps({"decode": decode, "tokenize": tokenize}[job](path, int(count))))
