"""Asset directories kept from one time to the next."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..assets import save_assets
from ..config import CodecConfig
from ..fresh_files import temporary_prefix
from ..load_assets import load_assets
from ..tokens import CodecTokens

#: part of every key: entries of an older layout are not read
LAYOUT = 1


class TokenCache:
    """Tokens by video and settings, in directories below ``root`` that several processes share.

    An entry is an asset directory with PNG canvases, so that what is read is what was written. It takes its name when
    it is complete. Who makes an entry holds its lock, in ``root/.locks``, which ends with the process.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def entry(self, video: str | os.PathLike[str], config: CodecConfig) -> Path:
        """Where the tokens of a video are kept; ``OSError`` where there is no such video.

        The name holds a digest of path, size and modification time of the file, of all settings, and of the version of
        this package. How many threads do the work is no part of it.
        """
        path = os.path.realpath(video)
        status = os.stat(path)
        facts = {
            "layout": LAYOUT,
            "version": __version__,
            "path": path,
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "config": {**dataclasses.asdict(config), "threads": None},
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        # Names have at most 255 bytes.
        stem = os.fsencode(Path(path).stem)[:80].decode(errors="ignore")
        return self.root / f"{stem}_{digest[:32]}"

    def get(
        self,
        video: str | os.PathLike[str],
        config: CodecConfig,
        make: Callable[[], CodecTokens],
        timeout: float = -1,
    ) -> tuple[CodecTokens, Path | None]:
        """The kept tokens and their directory; where there are none, or they are damaged, those that ``make`` makes.

        Waits up to ``timeout`` seconds, for ever if it is negative, while another process makes them, and raises
        ``TimeoutError`` after that. If the video changed in the meantime nothing is kept, and there is no directory.
        """
        try:
            from filelock import FileLock, Timeout
        except ImportError as error:
            raise ImportError("a cache needs filelock: pip install 'ov2_kernels[cache]'") from error
        entry = self.entry(video, config)
        kept = _load(entry, config)
        if kept is not None:
            return kept, entry
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(locks / entry.name, timeout=timeout):
                kept = _load(entry, config)
                if kept is not None:
                    return kept, entry
                # What is damaged, and what a process that was killed left while it wrote.
                for stale in (entry, *self.root.glob(f"{temporary_prefix(entry)}*")):
                    _remove(stale)
                tokens = make()
                if self.entry(video, config) != entry:
                    return tokens, None
                save_assets(tokens, entry, format="png")
                return tokens, entry
        except Timeout as error:
            raise TimeoutError(f"{os.fspath(video)}: another process has not made it in {timeout:g} seconds") from error


def _load(entry: Path, config: CodecConfig) -> CodecTokens | None:
    """The tokens of an entry that is there, whole, and made with these settings."""
    if not (entry / "meta.json").exists():
        return None
    try:
        tokens = load_assets(entry)
    except (OSError, ValueError):
        return None
    return tokens if tokens.config.replace(threads=None) == config.replace(threads=None) else None


def _remove(path: Path) -> None:
    """Removes whatever has that name; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
