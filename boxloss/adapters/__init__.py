"""Other people's detectors: any box loss in their own training.

`ultralytics`, `torchvision`, `transformers` and `rfdetr` have `use(loss)`, a context manager or a
call with `undo()`, and keep a `record.Record` of what training did to each true box. `keras_hub`
says what a KerasHub detector is compiled with. The libraries are imported when they are used.
"""

import importlib

__all__ = ["keras_hub", "record", "rfdetr", "torchvision", "transformers", "ultralytics"]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
