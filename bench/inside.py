"""What is measured inside a process, printed as JSON.

    python bench/inside.py decode|floor|probe|tokenize CLIP THREADS [SAMPLING [SAMPLES]]

``SAMPLES``, 256 or more, is how many to take whatever the length of the video; with 0 the defaults decide.
A fresh process for each measurement makes its peak memory that of the work, and nothing is warm.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ov2_kernels import CodecConfig


def settings(sampling: str = "peaks", samples: str = "0") -> CodecConfig:
    """The default settings but for the sampling and, where it is not 0, the number of samples."""
    from ov2_kernels import CodecConfig

    if samples == "0":
        return CodecConfig(sampling=sampling)
    return CodecConfig(sampling=sampling, min_fps=0.0, min_samples=int(samples))


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


def floor(clip: str, threads: int, *options: str) -> dict[str, Any]:
    """libav alone, decoding exactly the pictures that our samples depend on, and nothing else done with them."""
    import av
    import numpy as np
    from ov2_kernels import ops
    from ov2_kernels.reference.demux import is_reference

    config = settings(*options)
    info = ops.probe(clip)
    samples, _ = ops.sample_frames(
        info, max_samples=config.sample_limit(float(info.times[-1])), sampling=config.sampling
    )
    needed = np.zeros(info.frames, dtype=bool)
    needed[info.decode_index[samples]] = True
    needed[info.decode_index[np.maximum(samples - 1, 0)]] = True
    keys = np.sort(info.decode_index[info.is_key])
    # By decode order: up to the last picture needed before the next keyframe, all but disposable ones not needed.
    wanted = np.zeros(info.frames, dtype=bool)
    for begin, end in zip(keys, np.append(keys[1:], info.frames), strict=True):
        places = np.flatnonzero(needed[begin:end])
        wanted[begin : begin + (places[-1] + 1 if len(places) else 0)] = True
    with av.open(clip) as container:
        extradata = container.streams.video[0].codec_context.extradata
        for index, packet in enumerate(p for p in container.demux(video=0) if p.size):
            wanted[index] &= bool(needed[index]) or is_reference(info.codec, extradata, bytes(packet))

    start = time.perf_counter()
    with av.open(clip) as container:
        context = container.streams.video[0].codec_context
        context.thread_type, context.thread_count = "FRAME", threads
        frames = 0
        for index, packet in enumerate(p for p in container.demux(video=0) if p.size):
            if wanted[index]:
                frames += len(context.decode(packet))
        frames += len(context.decode(None))
    return {"seconds": time.perf_counter() - start, "decoded": frames, "samples": len(samples)}


def probe(clip: str, threads: int) -> dict[str, Any]:
    """The packet table."""
    from ov2_kernels import ops
    from ov2_kernels.dispatch import load_backend

    load_backend()
    start = time.perf_counter()
    ops.probe(clip)
    return {"seconds": time.perf_counter() - start}


def _bytes_read() -> int | None:
    """What this process has read so far, where the system tells."""
    try:
        with open("/proc/self/io", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))
    except OSError:
        return None


def tokenize(clip: str, threads: int, *options: str) -> dict[str, Any]:
    """Our main job, with the time of each stage."""
    import numpy as np
    import ov2_kernels
    from ov2_kernels import _core, ops, tokenize_video
    from ov2_kernels.dispatch import load_backend

    load_backend()
    decoded = []
    read_samples = ops.read_samples

    def noted(*arguments: Any, **keywords: Any) -> Any:
        samples = read_samples(*arguments, **keywords)
        decoded.append(samples.decoded)
        return samples

    ops.read_samples = noted
    config = settings(*options)
    before = _bytes_read()
    start = time.perf_counter()
    tokens = tokenize_video(clip, config, threads=threads)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "decoded": decoded[0],
        "bytes read": None if before is None else _bytes_read() - before,
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
    # As the command does: the threads of NumPy's BLAS, which has no work here, spin for a while after its import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    job, path, count, *options = sys.argv[1:]
    jobs = {"decode": decode, "floor": floor, "probe": probe, "tokenize": tokenize}
    print(json.dumps(jobs[job](path, int(count), *options)))
