"""What is installed, and which backends load."""

from __future__ import annotations

import importlib.metadata
import platform

from . import __version__
from .dispatch import BACKENDS, load_backend, resolve_threads
from .errors import BackendUnavailableError

PACKAGES = ("numpy", "pillow", "tqdm", "av", "torch", "triton")


def diagnose() -> dict[str, dict[str, str]]:
    """Versions of what matters, and for each backend ``available`` or the reason why not."""
    versions = {"ov2_kernels": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    backends = {}
    for name in BACKENDS:
        try:
            load_backend(name)
            backends[name] = "available"
        except BackendUnavailableError as error:
            backends[name] = str(error)
    if versions["av"] == "not installed":
        backends["reference"] += ", but its reader needs PyAV: pip install 'ov2_kernels[reference]'"
    report = {"versions": versions, "backends": backends, "machine": {"threads": str(resolve_threads(None))}}
    if backends["native"] == "available":
        from . import _core

        report["ffmpeg"] = _core.ffmpeg_versions()
    return report
