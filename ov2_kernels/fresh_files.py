"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .media import Array

if TYPE_CHECKING:
    from PIL import Image


@contextlib.contextmanager
def fresh_directory(target: Path) -> Iterator[Path]:
    """A new directory beside ``target`` that takes its name, and place, once the block is through.

    Where the block raises, or the exchange fails, ``target`` stays what it was and nothing is left beside it. An
    ``OSError`` about what was written names ``target``.
    """
    temporary = target.parent / f".{target.name}.{os.urandom(6).hex()}"
    replaced = temporary.with_name(temporary.name + ".replaced")
    with _on_behalf_of(target, temporary):
        try:
            temporary.mkdir()
            yield temporary
            if target.exists():
                target.rename(replaced)
            try:
                temporary.rename(target)
            except BaseException:
                if replaced.exists():
                    replaced.rename(target)
                raise
            shutil.rmtree(replaced, ignore_errors=True)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextlib.contextmanager
def fresh_file(target: Path) -> Iterator[Path]:
    """The name of a new file beside ``target``, of the same suffix, that takes its name once the block is through.

    Where the block raises, ``target`` stays what it was and nothing is left beside it. An ``OSError`` about what was
    written names ``target``.
    """
    temporary = target.parent / f".{os.urandom(6).hex()}.{target.name}"
    with _on_behalf_of(target, temporary):
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _on_behalf_of(target: Path, temporary: Path) -> Iterator[None]:
    """Makes the directories above ``target``, which go again where the block raises, and tells of it by that name."""
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError) and error.errno is not None:
            # What writes to an open file fails without a name.
            about = temporary if error.filename is None else Path(os.fsdecode(error.filename))
            if temporary in (about, *about.parents):
                raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise


def write_npy(path: Path, array: Array) -> None:
    """Writes a ``.npy`` file; NumPy itself would tell of a full disk without the system's error."""
    encoded = io.BytesIO()
    np.save(encoded, array, allow_pickle=False)
    path.write_bytes(encoded.getbuffer())


def write_picture(path: Path, image: Image.Image, format: str, **options: Any) -> None:
    """Writes a picture in a format of Pillow's, with its options; Pillow itself says "encoder error" of a full disk."""
    encoded = io.BytesIO()
    image.save(encoded, format, **options)
    path.write_bytes(encoded.getbuffer())
