"""The programs people run today, each in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processes import run_child

#: How the processors of the released checkpoints call it.
CV_PREINFER_ARGUMENTS = {
    "--num_sampled_frames": "256",
    "--grouping_mode": "readiness",
    "--group_size": "32",
    "--images_per_group": "4",
    "--patch": "14",
    "--max_pixels": "150000",
    "--readiness_sum_threshold": "0",
    "--min_group_frames": "8",
    "--max_group_frames": "64",
    "--avoid_keyframes": "",
    "--canvas_format": "jpg",
}

LMMS_CODE = """\
import sys
from lmms_video_utils import fetch_codec_video
print(len(fetch_codec_video(sys.argv[1], score_mode="mvwarp", gop_mode="bitcost").canvases))
"""


@dataclass(frozen=True)
class Peer:
    """A published package and how its main job is run."""

    name: str
    package: str
    version: str
    #: whether it writes an asset directory, or keeps its result in memory
    writes_assets: bool
    #: what must be installed before the package
    before: tuple[str, ...] = ()

    def command(self, environment: Path, clip: str, directory: str) -> list[str]:
        """The command line that tokenizes ``clip``, the result going to ``directory`` where it is written at all."""
        if self.writes_assets:
            program = str(environment / "bin" / "cv-preinfer")
            flags = [word for pair in CV_PREINFER_ARGUMENTS.items() for word in pair if word]
            return [program, "--video", clip, "--out_dir", directory, *flags]
        return [str(environment / "bin" / "python"), "-c", LMMS_CODE, clip]


PEERS = {
    "lmms": Peer("lmms", "lmms-video-utils", "0.1.0", writes_assets=False, before=("torch==2.13.0",)),
    "cv-preinfer": Peer("cv-preinfer", "codec-video-prep", "0.2.5", writes_assets=True),
}


def installed_version(environment: Path, package: str) -> str | None:
    """Version of a package in a virtual environment; None where it, or the environment, is missing."""
    python = environment / "bin" / "python"
    if not python.exists():
        return None
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    result = subprocess.run([str(python), "-c", code, package], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def prepare(peer: Peer, environments: Path, timeout: float = 3600.0) -> Path:
    """The peer's virtual environment, made where it is not there yet.

    Raises ``RuntimeError`` with the last line of stderr where that fails.
    """
    environment = environments / peer.name
    if installed_version(environment, peer.package) == peer.version:
        return environment
    print(f"making a virtual environment for {peer.package} {peer.version} ...", file=sys.stderr)
    environments.mkdir(parents=True, exist_ok=True)
    steps = [[sys.executable, "-m", "venv", str(environment)]]
    for requirement in (*peer.before, f"{peer.package}=={peer.version}"):
        steps.append([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])
    for step in steps:
        done = run_child(step, timeout)
        if done.error:
            raise RuntimeError(f"cannot install {peer.package}: {done.error}")
    return environment
