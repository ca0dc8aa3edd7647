"""Canvas sizes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels.geometry import canvas_size


@pytest.mark.parametrize(
    ("picture", "canvas"),
    [((640, 360), (504, 280)), ((720, 1280), (280, 504)), ((240, 320), (252, 308)), ((14, 14), (28, 28))],
)
def test_known_sizes(picture, canvas):
    assert canvas_size(*picture) == canvas


@settings(deadline=None)
@given(
    height=st.integers(1, 20000),
    width=st.integers(1, 20000),
    patch=st.sampled_from([14, 16]),
    max_pixels=st.integers(1024, 10**7),
)
def test_the_limit_holds_for_any_aspect(height, width, patch, max_pixels):
    h, w = canvas_size(height, width, patch=patch, max_pixels=max_pixels)
    assert h % (2 * patch) == w % (2 * patch) == 0
    assert h * w <= max_pixels
    assert min(h, w) >= 2 * patch


def test_too_few_pixels():
    with pytest.raises(ValueError, match=r"max_pixels must be at least \(2 \* patch\)\*\*2 = 784, got 700"):
        canvas_size(10, 10, max_pixels=700)
