"""The mathematics alone: xyxy boxes, no mask, no reduction, `y_true` before `y_pred`.

Coordinate losses return (..., 4), box losses (...). Inputs of float16 and bfloat16 are computed in
float32; float64 stays float64 where both inputs have it.
"""

from boxloss.functional import (
    boxes3d,
    classification,
    coordinate,
    density,
    distribution,
    fine_grained,
    measures,
    modifiers,
    overlap,
    penalties,
    rotated,
    small_objects,
    uncertainty,
    weighted,
)
from boxloss.functional.boxes3d import *
from boxloss.functional.classification import *
from boxloss.functional.coordinate import *
from boxloss.functional.density import *
from boxloss.functional.distribution import *
from boxloss.functional.fine_grained import *
from boxloss.functional.measures import *
from boxloss.functional.modifiers import *
from boxloss.functional.overlap import *
from boxloss.functional.penalties import *
from boxloss.functional.rotated import *
from boxloss.functional.small_objects import *
from boxloss.functional.uncertainty import *
from boxloss.functional.weighted import *

__all__: list[str] = []
__all__ += boxes3d.__all__
__all__ += classification.__all__
__all__ += coordinate.__all__
__all__ += density.__all__
__all__ += distribution.__all__
__all__ += fine_grained.__all__
__all__ += measures.__all__
__all__ += modifiers.__all__
__all__ += overlap.__all__
__all__ += penalties.__all__
__all__ += rotated.__all__
__all__ += small_objects.__all__
__all__ += uncertainty.__all__
__all__ += weighted.__all__
