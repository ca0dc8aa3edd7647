"""The page in a browser: it opens without a complaint, and clicks and keys do what they say."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from ov2_kernels import ops, tokenize_video
from ov2_kernels.trace import trace_tokens

from clips import encode

SETTINGS = {"target_canvas": 8, "group_size": 16, "min_group_frames": 4, "max_pixels": 20000}


def _browser():
    """A path to Chromium and Playwright's entry, or a skip; ``OV2_REQUIRE_BROWSER`` makes the skip a failure."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if program is None or sync_playwright is None:
        what = "Chromium" if program is None else "playwright"
        if os.environ.get("OV2_REQUIRE_BROWSER"):
            pytest.fail(f"OV2_REQUIRE_BROWSER is set, but there is no {what}")
        pytest.skip(f"needs Chromium and playwright; there is no {what}")
    return program, sync_playwright


@pytest.fixture(scope="module")
def tokens(clip_path):
    return tokenize_video(clip_path("h264_bframes"), **SETTINGS)


@pytest.fixture(scope="module")
def browser():
    program, sync_playwright = _browser()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, tokens, tmp_path):
    """Opens the page in a window of a kind; after the test, nothing may have been complained of or fetched."""
    path = tmp_path / "report.html"
    complaints, contexts = [], []

    def open_(width=1280, height=900, scheme="light", shown=tokens, **options):
        path.write_text(shown.to_html(), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(150)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def block_center(page, which, tokens, block):
    hb, wb = (n // 2 for n in tokens.grid)
    area = page.locator(f"#{which}").bounding_box()
    return {"x": (block % wb + 0.5) * area["width"] / wb, "y": (block // wb + 0.5) * area["height"] / hb}


def pixel(page, which, x, y):
    """Red, green and blue at a place of a canvas, in shares of its width and height."""
    return page.evaluate(
        """([id, x, y]) => { const c = document.getElementById(id);
            const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(c, 0, 0);
            return Array.from(copy.getImageData(x * c.width, y * c.height, 1, 1).data.slice(0, 3)); }""",
        [which, x, y],
    )


def is_marked(page, which, tokens, block):
    """Whether the pixels in the middle of the block's upper edge are those of the mark."""
    hb, wb = (n // 2 for n in tokens.grid)
    red, green, blue = pixel(page, which, (block % wb + 0.5) / wb, (block // wb) / hb)
    return red > 200 and green > 170 and blue < 140


def origin(tokens, canvas, block):
    """Frame, row and column that a block of a canvas came from."""
    hp, wp = tokens.grid
    patch = canvas * hp * wp + 2 * (block // (wp // 2)) * wp + 2 * (block % (wp // 2))
    t, h, w = tokens.src_patch_position[patch]
    return int(t), int(h) // 2, int(w) // 2


def text(page, name):
    page.wait_for_timeout(80)
    return page.locator(f"#{name}").inner_text()


def test_a_block_of_a_canvas_shows_its_source_and_back(open_page, tokens):
    page = open_page()
    wb, blocks = tokens.grid[1] // 2, tokens.grid[0] * tokens.grid[1] // 4
    canvas = int(np.flatnonzero(tokens.canvas_kinds == "P")[1])
    page.locator(f'#groups button[data-canvas="{canvas}"]').click()
    assert text(page, "canvas-about").startswith(f"{canvas + 1} of {len(tokens.canvases)}, group")
    t, row, column = origin(tokens, canvas, 7)
    page.locator("#canvas").hover(position=block_center(page, "canvas", tokens, 7))
    expected = f"frame {t}, row {row + 1}, column {column + 1}: kept on canvas {canvas + 1} at row {7 // wb + 1}"
    assert expected in text(page, "about")
    assert f"{tokens.timestamps[tokens.frame_ids == t][0]:.2f} s" in text(page, "frame-about")
    assert is_marked(page, "canvas", tokens, 7)
    assert is_marked(page, "frame", tokens, row * wb + column)

    # Held by a click, the choice stays while the pointer crosses other blocks.
    page.locator("#canvas").click(position=block_center(page, "canvas", tokens, 7))
    page.locator("#canvas").hover(position=block_center(page, "canvas", tokens, 12))
    assert expected in text(page, "about")
    assert page.locator("#pinned").is_visible()
    page.keyboard.press("Escape")
    page.locator("#canvas").hover(position=block_center(page, "canvas", tokens, 11))
    assert expected not in text(page, "about")

    # From the frame to the canvas: another block of the same canvas that is kept, and one that is not.
    other = next(b for b in range(14) if origin(tokens, canvas, b)[1:] != (row, column))
    t, row, column = origin(tokens, canvas, other)
    page.locator("#canvas").click(position=block_center(page, "canvas", tokens, other))
    page.locator("#frame").click(position=block_center(page, "frame", tokens, row * wb + column))
    assert f"kept on canvas {canvas + 1} at row {other // wb + 1}, column {other % wb + 1}" in text(page, "about")
    kept = {origin(tokens, c, b) for c in range(len(tokens.canvases)) for b in range(blocks)}
    missing = next(b for b in range(blocks) if (t, b // wb, b % wb) not in kept)
    page.locator("#frame").click(position=block_center(page, "frame", tokens, missing))
    assert f"frame {t}, row {missing // wb + 1}, column {missing % wb + 1}: not kept" in text(page, "about")
    assert not is_marked(page, "frame", tokens, missing), "a block that is not kept is marked in white"


def test_the_energies_are_those_of_the_block(open_page, tokens):
    trace = trace_tokens(tokens)
    page = open_page()
    canvas = int(np.flatnonzero(tokens.canvas_kinds == "P")[0])
    page.locator(f'#groups button[data-canvas="{canvas}"]').click()
    page.locator("#canvas").click(position=block_center(page, "canvas", tokens, 3))
    block = np.unravel_index(trace.selected[canvas, 3], trace.scores.shape)
    assert text(page, "value-residual") == f"{trace.residual[block] * 16 // 28**2 / 16:.2f} grey levels"
    assert text(page, "value-motion") == f"{trace.motion[block] // 7**2 / 64:.2f} px per frame"
    assert text(page, "value-bits") == f"{trace.bits[block] // 256:,}"
    assert text(page, "value-scores").endswith(" %")


def test_scrubber_timeline_and_keys(open_page, tokens):
    page = open_page()
    last = len(tokens.frame_ids) - 1
    page.locator("#scrubber").focus()
    page.keyboard.press("End")
    assert f"sample {last + 1} of {last + 1}: frame {tokens.frame_ids[last]}" in text(page, "frame-about")
    page.keyboard.press(",")
    assert f"sample {last} of" in text(page, "frame-about")
    page.locator("#timeline").focus()
    page.keyboard.press("Home")
    assert "sample 1 of" in text(page, "frame-about")
    assert "kept whole, as its group's I-canvas" in text(page, "frame-about")
    page.keyboard.press(".")
    assert "sample 2 of" in text(page, "frame-about")
    area = page.locator("#timeline").bounding_box()
    middle = int(np.abs(tokens.frame_ids - tokens.total_frames / 2).argmin())
    page.locator("#timeline").click(position={"x": area["width"] / 2, "y": 20})
    assert f"sample {middle + 1} of" in text(page, "frame-about")
    assert "bytes" in text(page, "readout")
    page.locator("#canvas").focus()
    page.keyboard.press("]")
    page.keyboard.press("[")
    shown = text(page, "canvas-about")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert text(page, "canvas-about") == shown
    number = int(shown.split()[0]) - 1
    t, row, column = origin(tokens, number, 1 + tokens.grid[1] // 2)
    assert f"frame {t}, row {row + 1}, column {column + 1}:" in text(page, "about")
    page.keyboard.press("Enter")
    assert page.locator("#pinned").is_visible()
    page.locator("#timeline").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    page.keyboard.press("Space")
    assert "sample 1 of" not in text(page, "frame-about"), "it played"


def test_the_timeline_of_a_variable_rate_tells_the_times_of_the_stream(open_page, clip_path):
    tokens = tokenize_video(clip_path("h264_variable_rate"), **SETTINGS)
    info = ops.probe(tokens.video)
    page = open_page(shown=tokens)
    width = page.locator("#timeline").bounding_box()["width"]

    def place(seconds):
        return {"x": seconds / info.duration * width, "y": 20}

    middles = (info.times + np.append(info.times[1:], info.duration)) / 2
    for frame in (3, 12, 13, 25):
        page.locator("#timeline").hover(position=place(middles[frame]))
        assert text(page, "readout").startswith(f"{info.times[frame]:.2f} s, frame {frame}: {info.size[frame]:,} bytes")
    for sample in range(1, len(tokens.frame_ids), 7):
        page.locator("#timeline").click(position=place(tokens.timestamps[sample] + 0.001))
        assert f"sample {sample + 1} of" in text(page, "frame-about")
        mark = pixel(page, "timeline", tokens.timestamps[sample] / info.duration, 0.01)
        assert max(mark) < 60, "the dark mark stands at the sample's time"


def test_brackets_typed_with_altgr(open_page, tokens):
    page = open_page()
    shown = text(page, "canvas-about")
    press = """(altgr) => document.body.dispatchEvent(new KeyboardEvent("keydown",
        { key: "]", ctrlKey: true, altKey: true, modifierAltGraph: altgr, bubbles: true }))"""
    page.evaluate(press, False)
    assert text(page, "canvas-about") == shown, "Ctrl and Alt alone are the browser's"
    page.evaluate(press, True)
    assert int(text(page, "canvas-about").split()[0]) == int(shown.split()[0]) + 1


def test_frames_of_very_many_blocks(open_page, tmp_path):
    frames = np.zeros((2, 1088, 1920, 3), np.uint8)
    clip = encode(tmp_path / "large.mp4", list(frames), options={"preset": "ultrafast"})
    settings = {"target_canvas": 1, "images_per_group": 1, "group_size": 2, "min_group_frames": 1}
    tokens = tokenize_video(clip, **settings, patch=2, max_pixels=2**21)
    page = open_page(shown=tokens)
    assert "kept whole" in text(page, "about")
    page.locator("#layer").select_option("scores")
    assert text(page, "canvas-about").startswith("1 of 1, group 1: I-canvas, a whole frame; 0.00 s")


def test_layers_and_themes(open_page, tokens):
    page = open_page()
    page.locator("#sample-on").click()
    looks = set()
    for layer in ("kept", "plain", "scores", "motion", "residual", "bits"):
        page.locator("#layer").select_option(layer)
        page.wait_for_timeout(80)
        looks.add(page.evaluate('document.getElementById("frame").toDataURL()'))
    assert len(looks) == 6
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    dark = page.evaluate(background)
    assert open_page(scheme="dark").evaluate(background) == dark != light
    page.locator("#theme").click()
    assert page.evaluate(background) == light


def test_on_a_phone(open_page, tokens):
    page = open_page(390, 844, scheme="dark", device_scale_factor=2, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    canvas = int(np.flatnonzero(tokens.canvas_kinds == "P")[0])
    page.locator("#canvas-on").tap()
    page.locator("#canvas-back").tap()
    page.locator("#canvas").tap(position=block_center(page, "canvas", tokens, 4))
    t, row, column = origin(tokens, canvas, 4)
    assert f"frame {t}, row {row + 1}, column {column + 1}" in text(page, "about")
