"""The half of losses.py that runs beside TensorFlow Addons, in that interpreter.

`python losses_addons.py giou 1x10000 7` prints the rows of TensorFlow Addons' loss as JSON.
"""

import json
import sys

import losses

if __name__ == "__main__":
    name, shape, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps(losses.time_all(name, shape, rounds, ("eager tfa", "jit tfa"))))
