"""Imports torchvision where its compiled operators do not load.

Its wheels are built for CUDA. Beside a CPU torch the import ends at the first operator that is declared; the image
processors use none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch


def _declare_nothing(name: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda function: function


try:
    import torchvision
except RuntimeError:
    with mock.patch.object(torch.library, "register_fake", _declare_nothing):
        import torchvision  # noqa: F401
