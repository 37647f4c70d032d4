"""Other people's detectors: any box loss in their own training.

`ultralytics`, `torchvision` and `transformers` have `use(loss)`, a context manager or a call with
`undo()`, and keep a `record.Record` of what training did to each true box. `keras_hub` says what a
KerasHub detector is compiled with. The libraries are imported when they are used.
"""
