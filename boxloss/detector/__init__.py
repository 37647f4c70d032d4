"""An anchor-free detector with its own or a pretrained backbone: `Detector`, `load_detector`.

The names of backbones, and which of them have weights on this machine, need no Keras; everything
else comes with the first use of its name.
"""

from typing import TYPE_CHECKING

from boxloss._lazy import on_first_use
from boxloss.detector.catalogue import BACKBONES, SIZES, STRIDES, available_backbones

if TYPE_CHECKING:
    from boxloss.detector.exported import load_exported
    from boxloss.detector.exporting import export
    from boxloss.detector.inference import detect, suppress
    from boxloss.detector.load import load_detector
    from boxloss.detector.model import Detector
    from boxloss.detector.pretrained import start_from_pretrained
else:
    # A checker that saw this function would take every name for one of the package.
    __getattr__ = on_first_use(
        __name__,
        {
            "Detector": "model",
            "detect": "inference",
            "export": "exporting",
            "load_detector": "load",
            "load_exported": "exported",
            "start_from_pretrained": "pretrained",
            "suppress": "inference",
        },
    )

__all__ = [
    "BACKBONES",
    "Detector",
    "SIZES",
    "STRIDES",
    "available_backbones",
    "detect",
    "export",
    "load_detector",
    "load_exported",
    "start_from_pretrained",
    "suppress",
]
