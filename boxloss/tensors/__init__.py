"""What every loss uses: operations on tensors, box formats and padding, argument checks.

`ops` is the one set of operations for TensorFlow, JAX and PyTorch; `boxes` knows formats and
padding; `checks` words the errors. `formulas` decides how a formula is run, `one_loop` is how
TensorFlow fuses it, and `compiled` decides what is compiled when.
"""
