"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import TargetError, TargetExistsError
from .media import Array

if TYPE_CHECKING:
    from PIL import Image

#: how often it is tried anew where others replace the same directory meanwhile
_TRIES = 100
#: what follows a dot in a longer name is no suffix
_LONGEST_SUFFIX = 16


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
    for left in reversed(range(_TRIES)):
        before = _identity(target)
        if before is None:
            return
        try:
            _check_contents(target, kind, mark, ours, overwrite=overwrite, source=source)
            return
        except (TargetError, FileNotFoundError):
            # Of one that is replaced in the meantime, halves were seen.
            if not left or before == _identity(target):
                raise


def _identity(target: Path) -> tuple[int, int] | None:
    """Tells directories of one name apart: a change of the name changes the second number."""
    try:
        status = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_ctime_ns


def _check_contents(
    target: Path, kind: str, mark: str, ours: str, *, overwrite: bool, source: str | os.PathLike[str]
) -> None:
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
    if os.path.ismount(target):
        raise _stays(target, "is a mount point, which cannot be replaced; name a directory inside it")
    if target.name in ("", ".."):
        raise _stays(target, f"is not replaced by that name; name a directory inside it, such as {target / 'tokens'}")
    _refuse_link(target)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISDIR(target.lstat().st_mode):  # one look: another may be replacing it
            raise _stays(target, "is no directory, so it is not replaced")


def _refuse_link(target: Path) -> None:
    if target.is_symlink():
        raise _stays(target, "is a symbolic link, which is not replaced; name what it leads to")


def _stays(target: Path, why: str) -> TargetError:
    return TargetError(errno.EEXIST, why, str(target))


def _exists(target: Path) -> TargetExistsError:
    return TargetExistsError(errno.EEXIST, "exists already; overwrite=True replaces it", str(target))


def temporary_prefix(target: Path) -> str:
    """What the names of all temporary files and directories for ``target`` begin with: short, whatever its own."""
    return f".ov2-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


def _temporary(target: Path, suffix: str = "") -> Path:
    return target.parent / f"{temporary_prefix(target)}{os.urandom(6).hex()}{suffix}"


@contextlib.contextmanager
def fresh_directory(target: Path, check: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """A new directory beside ``target`` that takes its name, and place, once the block is through.

    Where the block raises, or the exchange fails, ``target`` stays what it was and nothing is left beside it. An
    ``OSError`` about what was written names ``target``. Only a directory is replaced: ``TargetError``. What it holds is
    for ``check`` to look at, as :func:`check_directory` does: it is called before the exchange, and again where
    another has taken the name in the meantime.
    """
    _refuse_all_but_directories(target)
    temporary = _temporary(target)
    with _on_behalf_of(target, temporary):
        try:
            temporary.mkdir()
            yield temporary
            _take_place(temporary, target, check)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, target: Path, check: Callable[[], object]) -> None:
    """Gives a directory the name and place of another, which is removed, or gets them back where that fails."""
    replaced = temporary.with_name(temporary.name + ".replaced")
    for left in reversed(range(_TRIES)):
        _refuse_all_but_directories(target)
        check()
        try:
            with contextlib.suppress(FileNotFoundError):  # there is none, or another is replacing it
                target.rename(replaced)
            temporary.rename(target)
        except BaseException as error:
            _bring_back(replaced, target)
            if not left or not _is_taken(error):
                raise
        else:
            shutil.rmtree(replaced, ignore_errors=True)
            return


def _bring_back(replaced: Path, target: Path) -> None:
    """Gives a directory its name back; where another has taken that, the directory is removed."""
    try:
        replaced.rename(target)
    except OSError as error:
        if _is_taken(error):
            shutil.rmtree(replaced, ignore_errors=True)


def _is_taken(error: BaseException) -> bool:
    """Whether a directory could not take a name for another had taken it before."""
    return isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)


@contextlib.contextmanager
def fresh_file(target: Path) -> Iterator[Path]:
    """The name of a new file beside ``target``, of the same suffix, that takes its name once the block is through.

    Where the block raises, ``target`` stays what it was and nothing is left beside it. An ``OSError`` about what was
    written names ``target``. Whatever is no regular file is not replaced: ``TargetError``.
    """
    check_file(target, overwrite=True)
    suffix = target.suffix if len(target.suffix) <= _LONGEST_SUFFIX else ""
    temporary = _temporary(target, suffix)
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
            names = [f"{name}" for name in (error.filename, error.filename2) if name is not None]
            if not names or any(name.startswith(str(temporary)) for name in names):
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
