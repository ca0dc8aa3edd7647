"""Fails where importing the package alone takes 150 ms or more: the median of seven fresh interpreters."""

import statistics
import subprocess
import sys
import tempfile

CODE = "import time; start = time.perf_counter(); import ov2_kernels; print(1000 * (time.perf_counter() - start))"

with tempfile.TemporaryDirectory() as elsewhere:
    times = [
        float(subprocess.run([sys.executable, "-c", CODE], cwd=elsewhere, capture_output=True, check=True).stdout)
        for _ in range(7)
    ]
median = statistics.median(times)
print(f"import ov2_kernels: {median:.1f} ms")  # noqa: T201
sys.exit(median >= 150)
