"""``python -m ov2_kernels`` is ``ov2-kernels``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
