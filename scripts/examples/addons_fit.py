"""CIoU beside TensorFlow Addons, on TensorFlow 2.15: python scripts/examples/addons_fit.py

The optimizer is one of TensorFlow Addons (LazyAdam is Adam where no gradient is sparse), the loss
what replaces `tensorflow_addons.losses.GIoULoss`.
"""

import tensorflow_addons as tfa
from problem import BOXES, EPSILON, RATE, STEPS, data, finish, start
from tensorflow import keras

import boxloss


def main(argv=None):
    x, y_true = data()
    layers = [keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(4 * BOXES)]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Reshape((BOXES, 4))])
    model.set_weights(start())
    model.compile(tfa.optimizers.LazyAdam(RATE, epsilon=EPSILON), loss=boxloss.CIoULoss())
    history = model.fit(x, y_true, batch_size=len(x), epochs=STEPS, shuffle=False, verbose=0)
    finish(argv, history.history["loss"], model.get_weights())


if __name__ == "__main__":
    main()
