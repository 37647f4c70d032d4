"""The half of losses.py that runs beside TensorFlow Addons, in that interpreter.

`python losses_addons.py giou 10000 7` prints the rows of TensorFlow Addons' loss as JSON.
"""

import json
import sys

import losses

if __name__ == "__main__":
    name, boxes, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(losses.time_all(name, boxes, rounds, ("tfa_eager", "tfa_xla"))))
