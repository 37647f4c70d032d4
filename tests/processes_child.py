"""`boxloss` with a detector as narrow as possible, which compiles fast; run by test_processes.py.

python tests/processes_child.py train ...
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

from boxloss.cli import main
from boxloss.detector import catalogue

# As deep as nano, so that everything is there.
catalogue.SIZES["nano"] = {
    "channels": (8, 8, 8, 8),
    "depths": (1, 1, 1, 1),
    "pyramid": 8,
    "head": 8,
}

if __name__ == "__main__":
    raise SystemExit(main())
