"""The mathematics alone: xyxy boxes, no mask, no reduction, `y_true` before `y_pred`.

Coordinate losses return (..., 4), box losses (...). Inputs of float16 and bfloat16 are computed in
float32; float64 stays float64 where both inputs have it.
"""

from boxloss.functional import (
    classification,
    coordinate,
    density,
    distribution,
    measures,
    modifiers,
    overlap,
    penalties,
    rotated,
    uncertainty,
    weighted,
)
from boxloss.functional.classification import *
from boxloss.functional.coordinate import *
from boxloss.functional.density import *
from boxloss.functional.distribution import *
from boxloss.functional.measures import *
from boxloss.functional.modifiers import *
from boxloss.functional.overlap import *
from boxloss.functional.penalties import *
from boxloss.functional.rotated import *
from boxloss.functional.uncertainty import *
from boxloss.functional.weighted import *

__all__: list[str] = []
__all__ += classification.__all__
__all__ += coordinate.__all__
__all__ += density.__all__
__all__ += distribution.__all__
__all__ += measures.__all__
__all__ += modifiers.__all__
__all__ += overlap.__all__
__all__ += penalties.__all__
__all__ += rotated.__all__
__all__ += uncertainty.__all__
__all__ += weighted.__all__
