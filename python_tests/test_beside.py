"""Work on a thread beside the caller's: what it gives and raises, and that it never outlives its context."""

import threading
import time

import numpy as np
import pytest
from ov2_kernels import bits, ops, tokenize_video
from ov2_kernels.beside import Beside
from ov2_kernels.errors import DamagedVideoError


def test_result_and_error():
    with Beside(lambda check: threading.current_thread()) as beside:
        assert beside.result() is not threading.current_thread()

    def fail(check):
        raise ValueError("broken")

    with Beside(fail) as beside, pytest.raises(ValueError, match="broken"):
        beside.result()
    with Beside(fail):
        pass  # nobody asked


def test_leaving_early_ends_the_work():
    started = threading.Event()

    def forever(check):
        while True:
            check(None)
            started.set()
            time.sleep(0.001)

    def leave():
        with Beside(forever):
            assert started.wait(60)
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert threading.active_count() == before


def test_without_threads(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Beside(lambda check: threading.current_thread()) as beside:
        assert beside.result() is threading.current_thread()


def test_bits_are_read_while_pictures_are(real_clip, monkeypatch):
    expected = tokenize_video(real_clip, threads=1, score_mode="fused")
    reading = threading.Event()
    exact_bits, read_samples = bits.exact_bits, ops.read_samples

    def wait(*arguments, **options):
        assert reading.wait(60)
        return exact_bits(*arguments, **options)

    def read(*arguments, **options):
        reading.set()
        return read_samples(*arguments, **options)

    monkeypatch.setattr(bits, "exact_bits", wait)
    monkeypatch.setattr(ops, "read_samples", read)
    tokens = tokenize_video(real_clip, threads=2, score_mode="fused")
    np.testing.assert_array_equal(tokens.canvases, expected.canvases)
    np.testing.assert_array_equal(tokens.src_patch_position, expected.src_patch_position)
    assert tokens.bits_source == "exact"


@pytest.mark.parametrize("both", [False, True])
def test_which_error_is_raised(real_clip, monkeypatch, both):
    def fail(text):
        def raise_it(*arguments, **options):
            raise DamagedVideoError(text)

        return raise_it

    monkeypatch.setattr(bits, "exact_bits", fail("of bits"))
    if both:
        monkeypatch.setattr(ops, "read_samples", fail("of pictures"))
    with pytest.raises(DamagedVideoError, match="of pictures" if both else "of bits"):
        tokenize_video(real_clip, threads=2, score_mode="fused")
