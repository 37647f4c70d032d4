"""CIoU in a TensorFlow loop: python scripts/examples/tensorflow_tape.py"""

import keras
import tensorflow as tf
from problem import BOXES, EPSILON, RATE, STEPS, data, finish, start

import boxloss


def main(argv=None):
    x, y_true = data()
    weights = [tf.Variable(weight) for weight in start()]
    loss, optimizer = boxloss.CIoULoss(), keras.optimizers.Adam(RATE, epsilon=EPSILON)

    def predict(x):
        hidden = tf.tanh(x @ weights[0] + weights[1])
        return tf.reshape(hidden @ weights[2] + weights[3], (-1, BOXES, 4))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(y_true, predict(x))
        gradients = tape.gradient(value, weights)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return value

    losses = [step() for _ in range(STEPS)]
    finish(argv, losses, weights)


if __name__ == "__main__":
    main()
