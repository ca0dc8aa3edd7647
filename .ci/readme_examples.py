"""Runs the Python blocks of a README one after the other in one namespace, where clip.mp4 is the packaged demo clip."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

text = Path(sys.argv[1]).resolve().read_text()
blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    sys.path = [p for p in sys.path if not p.endswith(".ci")]
    import ov2_kernels.demo

    shutil.copy(ov2_kernels.demo.CLIP, "clip.mp4")
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
print(f"{len(blocks)} examples ran")  # noqa: T201
