"""An image as evidence, at its own resolution."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .errors import DamagedImageError, NotAnImageError, VideoError, VideoTooLargeError, file_error
from .frames import pack_whole, whole_config
from .geometry import canvas_size
from .limits import file_name, open_regular, require_binary
from .media import Array
from .tokens import CodecTokens
from .video import device_module

if TYPE_CHECKING:
    from PIL import Image


def tokenize_image(
    source: str | os.PathLike[str] | BinaryIO | Image.Image | Array,
    *,
    patch: int = 14,
    max_pixels: int = 1_605_632,
    threads: int | None = None,
    backend: str = "auto",
    device: Any = None,
) -> CodecTokens:
    """Tokenizes an image: one canvas, at its own resolution as far as ``max_pixels`` allows, at ``t = 0``.

    ``source`` is a file, by path or opened, a PIL image, or uint8 ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]``. Images
    are turned upright by their EXIF orientation, made RGB and resized, bicubic, to multiples of ``2 * patch``. Raises a
    :class:`VideoError` (see :mod:`ov2_kernels.errors`) where the file cannot be read, is no image or a damaged one
    (then also an ``OSError``), or has more pixels than Pillow takes. Source: algorithm, section 10.
    """
    start = time.perf_counter()
    if device is not None:
        device_module().check_device(device)
    config = whole_config(patch, max_pixels, threads)
    rgb, kind = _load(source)
    height, width = rgb.shape[:2]
    canvas = resize_rgb(rgb, *canvas_size(height, width, patch=patch, max_pixels=max_pixels))
    facts = {
        "timestamps": np.zeros(1),
        "fps": 1.0,
        "total_frames": 1,
        "source_height": height,
        "source_width": width,
        "codec": kind,
        "video": os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else "",
    }
    return pack_whole(canvas[None], np.zeros(1, dtype=np.int64), config, "image", backend, device, start, facts)


def _load(source: Any) -> tuple[Array, str]:
    """Pixels, and the name of the file's format, ``none`` where there is no file."""
    from PIL import Image

    if isinstance(source, (Image.Image, np.ndarray)):
        return as_rgb(source), (getattr(source, "format", None) or "none").lower()
    with opened_image(source) as image:
        return _upright_rgb(image), str(image.format).lower()


@contextlib.contextmanager
def opened_image(source: Any) -> Iterator[Image.Image]:
    """A path or binary file opened by Pillow; :func:`image_errors` hold for whatever is done inside."""
    from PIL import Image

    if isinstance(source, (str, os.PathLike)):
        with open_regular(source) as file, image_errors(os.fspath(source)), Image.open(file) as image:
            yield image
    elif hasattr(source, "read"):
        require_binary(source)
        with image_errors(file_name(source)), Image.open(source) as image:
            yield image
    else:
        raise ValueError(f"source must be a path, a binary file, a PIL image or an array, got {type(source).__name__}")


@contextlib.contextmanager
def image_errors(name: str) -> Iterator[None]:
    """Turns what Pillow raises about a file into errors of this package, which begin with the name."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (VideoError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise NotAnImageError(f"{name}: cannot open it as an image: it is in no format that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise VideoTooLargeError(f"{name}: cannot open it as an image: {error}") from error
    except OSError as error:
        if error.errno:  # it is the system that refuses
            raise file_error(error.errno, f"cannot read it: {error.strerror}", name) from error
        raise DamagedImageError(f"{name}: cannot read the image: {error}") from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise DamagedImageError(f"{name}: cannot read the image: {error}") from error


def as_rgb(picture: Any) -> Array:
    """Upright RGB pixels, uint8 ``[H, W, 3]``, of a PIL image or an array; ``ValueError`` for anything else."""
    from PIL import Image

    if isinstance(picture, Image.Image):
        with image_errors(os.fsdecode(getattr(picture, "filename", "") or "<image>")):
            return _upright_rgb(picture)
    if isinstance(picture, (str, bytes, os.PathLike)):
        raise ValueError(f"a picture must be a PIL image or an array, got the path {picture!r}: open it first")
    array = np.asarray(picture)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"a picture must be uint8 [H, W], [H, W, 3] or [H, W, 4], got {array.dtype} {list(array.shape)}"
        )
    if channels == 1:
        array = np.broadcast_to(array.reshape(*array.shape[:2], 1), (*array.shape[:2], 3))
    return np.ascontiguousarray(array[..., :3])


def _upright_rgb(picture: Image.Image) -> Array:
    from PIL import ImageOps

    with contextlib.suppress(ValueError, SyntaxError):  # EXIF data that are no such thing turn nothing
        picture = ImageOps.exif_transpose(picture)
    return np.asarray(picture.convert("RGB"))


def resize_rgb(rgb: Array, height: int, width: int) -> Array:
    """Bicubic, by Pillow, which filters when it shrinks; the same pixels where the size is right already."""
    if rgb.shape[:2] == (height, width):
        return rgb
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))
