"""Other people's detectors: what a loss has to be told to fit into them. `keras_hub`."""
