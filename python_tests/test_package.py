"""The package itself: light to import, complete, and independent of its extras."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import ov2_kernels
import pytest
from ov2_kernels import _core, native, ops, reference

# Where the package that is under test lies, so that a subprocess imports that one and not a checkout beside it.
HOME = Path(ov2_kernels.__file__).parent.parent

WITHOUT_EXTRAS = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("av", "torch", "triton"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import ov2_kernels
tokens = ov2_kernels.tokenize_video(sys.argv[1], target_canvas=4, max_pixels=20000)
inputs = tokens.model_inputs()
print(type(inputs["pixel_values"]).__module__, len(tokens.canvases))
from ov2_kernels import reference
try:
    reference.probe(sys.argv[1])
except ov2_kernels.BackendUnavailableError as error:
    print(error)
"""


def run(code: str, *args: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True, cwd=HOME)
    return done.stdout


def test_works_without_extras(clip_path):
    lines = run(WITHOUT_EXTRAS, str(clip_path("h264_bframes"))).splitlines()
    assert lines[0] == "numpy 4"
    assert lines[1] == "the reference reader needs PyAV: pip install 'ov2_kernels[reference]'"


@pytest.mark.parametrize("name", ["dataset", "mixture"])
def test_training_says_which_extra_it_needs(name):
    code = f"import sys; sys.modules['torch'] = None; import ov2_kernels.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=HOME)
    assert f"ImportError: ov2_kernels.{name} needs torch: pip install 'ov2_kernels[torch]'" in done.stderr


def test_importing_loads_nothing_heavy():
    heavy = run(
        "import sys, ov2_kernels; print([m for m in ('numpy', 'PIL', 'torch', 'av', 'tqdm') if m in sys.modules])"
    )
    assert heavy == "[]\n"


def test_tokenizing_loads_neither_torch_nor_av(clip_path):
    code = (
        "import sys, ov2_kernels; ov2_kernels.tokenize_video(sys.argv[1], max_pixels=20000); "
        "print([m for m in ('torch', 'av', 'triton') if m in sys.modules])"
    )
    assert run(code, str(clip_path("h264_bframes"))) == "[]\n"


def test_public_names():
    for name in ov2_kernels.__all__:
        assert getattr(ov2_kernels, name) is not None
    assert dir(ov2_kernels) == sorted(ov2_kernels.__all__)
    assert ov2_kernels.__version__ == importlib.metadata.version("ov2_kernels")


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(ov2_kernels, "tokenise")


def test_every_backend_has_every_stage():
    for stage in reference.__all__:
        assert hasattr(native, stage) is (stage != "rope_frequencies"), "a few operations, which NumPy does on the host"
        assert callable(getattr(ops, stage))


def test_a_missing_extension_says_what_to_do():
    code = "import sys; sys.modules['ov2_kernels._core'] = None; import ov2_kernels; ov2_kernels.probe('x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=HOME)
    assert "pip install ." in done.stderr


def test_versions_of_ffmpeg():
    versions = _core.ffmpeg_versions()
    assert set(versions) == {"ffmpeg", "libavformat", "libavcodec", "libavutil", "libswscale"}
