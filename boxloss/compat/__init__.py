"""Other libraries' losses under their own names: `tfa`, `keras_cv`, `torchvision`.

    from boxloss.compat.tfa import GIoULoss  # was: from tensorflow_addons.losses import GIoULoss

Names, arguments, box order and reductions are those of the library, so that an import line is all
that changes; the mathematics is that of boxloss: finite for every pair of boxes, scale-free, no
reward for inverted boxes. Each module says which quirks it keeps and which bugs it does not keep.
There is no padding here, as there is none in these libraries: every row is a box. Shapes never
broadcast against each other. For new programs `boxloss.get` has more to offer.
"""
