"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import TargetError, TargetExistsError
from .media import Array

if TYPE_CHECKING:
    from PIL import Image


def check_file(target: Path, *, overwrite: bool, source: str | os.PathLike[str] = "") -> None:
    """Raises ``TargetError`` where something has the name of an output and is not to be replaced by a file.

    ``overwrite`` replaces a regular file, unless it is ``source``, which the output is made from.
    """
    if source and target.exists() and os.path.exists(source) and os.path.samefile(target, source):
        raise _stays(target, "is the input, so it is not replaced")
    _refuse_link(target)
    if target.exists() and not target.is_file():
        raise _stays(target, "is no regular file, so it is not replaced")
    if target.exists() and not overwrite:
        raise _exists(target)


def check_directory(
    target: Path, kind: str, mark: str, ours: str, *, overwrite: bool, source: str | os.PathLike[str] = ""
) -> None:
    """Raises ``TargetError`` where something has the name of an output and is not to be replaced by a directory.

    ``overwrite`` replaces an empty directory and one of this ``kind``, unless it holds ``source``, which the output is
    made from. It is of the kind if it holds the file ``mark`` and no paths but those that the pattern ``ours`` matches;
    of a directory inside the path ends in a slash.
    """
    _refuse_all_but_directories(target)
    if not target.exists():
        return
    empty = True
    for entry in target.rglob("*"):
        empty = False
        name = entry.relative_to(target).as_posix() + "/" * entry.is_dir()
        plain = not entry.is_symlink() and (entry.is_dir() or entry.is_file())
        if not plain or not re.fullmatch(ours, name):
            raise _stays(target, f"holds {name}, so it is not {kind} and not replaced; name another")
    if not empty and not (target / mark).is_file():
        raise _stays(target, f"lacks {mark}, so it is not {kind} and not replaced; name another")
    if source and Path(os.path.realpath(target)) in Path(os.path.realpath(source)).parents:
        raise _stays(target, "holds the input, so it is not replaced")
    if not overwrite:
        raise _exists(target)


def _refuse_all_but_directories(target: Path) -> None:
    _refuse_link(target)
    if target.exists() and not target.is_dir():
        raise _stays(target, "is no directory, so it is not replaced")


def _refuse_link(target: Path) -> None:
    if target.is_symlink():
        raise _stays(target, "is a symbolic link, which is not replaced; name what it leads to")


def _stays(target: Path, why: str) -> TargetError:
    return TargetError(errno.EEXIST, why, str(target))


def _exists(target: Path) -> TargetExistsError:
    return TargetExistsError(errno.EEXIST, "exists already; overwrite=True replaces it", str(target))


@contextlib.contextmanager
def fresh_directory(target: Path) -> Iterator[Path]:
    """A new directory beside ``target`` that takes its name, and place, once the block is through.

    Where the block raises, or the exchange fails, ``target`` stays what it was and nothing is left beside it. An
    ``OSError`` about what was written names ``target``. Only a directory is replaced: ``TargetError``. What it holds is
    for the caller to check, as :func:`check_directory` does.
    """
    _refuse_all_but_directories(target)
    temporary = target.parent / f".{target.name}.{os.urandom(6).hex()}"
    replaced = temporary.with_name(temporary.name + ".replaced")
    with _on_behalf_of(target, temporary):
        try:
            temporary.mkdir()
            yield temporary
            if target.exists():
                target.rename(replaced)
            temporary.rename(target)
        except BaseException:
            if replaced.exists() and not target.exists():
                replaced.rename(target)
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if target.exists():  # else nothing but the old one is left
                shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def fresh_file(target: Path) -> Iterator[Path]:
    """The name of a new file beside ``target``, of the same suffix, that takes its name once the block is through.

    Where the block raises, ``target`` stays what it was and nothing is left beside it. An ``OSError`` about what was
    written names ``target``. Whatever is no regular file is not replaced: ``TargetError``.
    """
    check_file(target, overwrite=True)
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
