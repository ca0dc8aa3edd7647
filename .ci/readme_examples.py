"""Runs the Python blocks of a README one after the other in one namespace, where clip.mp4 is the packaged demo clip.

Blocks that say ``torch`` behind ``python`` run where torch is installed.
"""

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

text = Path(sys.argv[1]).resolve().read_text()
kinds = "python"
if importlib.util.find_spec("torch"):
    kinds = r"python(?: torch)?"
    sys.path.append(str(Path(sys.argv[1]).resolve().parent / "python_tests"))
    importlib.import_module("import_torchvision")
blocks = re.findall(rf"```{kinds}\n(.*?)```", text, flags=re.DOTALL)
with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    sys.path = [p for p in sys.path if not p.endswith(".ci")]
    import ov2_kernels.demo

    shutil.copy(ov2_kernels.demo.CLIP, "clip.mp4")
    warnings.filterwarnings("error", module="ov2_kernels")
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
print(f"{len(blocks)} examples ran")  # noqa: T201
