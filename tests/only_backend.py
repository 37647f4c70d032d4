"""boxloss in a process that finds one backend alone, as in an environment that has no other."""

import json
import os
import subprocess
import sys

# By hand: the boxes share 16 of the 48 pixels of their hull, so IoU and GIoU are both 1/3.
CODE = """
import sys
for name in {others}:
    sys.modules[name] = None
import boxloss
import numpy as np
loss = boxloss.GIoULoss()(np.float32([[[0, 0, 8, 4]]]), np.float32([[[4, 0, 12, 4]]]))
assert abs(float(loss) - 2 / 3) < 1e-6, loss
from boxloss import cli
raise SystemExit(cli.main(["doctor"]))
"""


def alone(backend, home):
    """What `boxloss doctor` prints where only `backend` can be imported."""
    others = {"tensorflow", "jax", "torch"} - {backend}
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(others=sorted(others))],
        capture_output=True,
        text=True,
        env=environment | {"KERAS_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
