"""Box errors in an experiment log: python scripts/examples/box_errors_log.py --to tensorboard

A callback of Keras sends, after each epoch, the distribution of the box errors and the mean error
of each side to TensorBoard, Weights & Biases or MLflow. A loss curve shows their mean alone: here
one sees whether a few boxes are very wrong, and on which side.
"""

import argparse

import keras
import numpy as np
from problem import BOXES, EPSILON, RATE, data, start

import boxloss

SIDES = ("x1", "y1", "x2", "y2")


class LogBoxErrors(keras.callbacks.Callback):
    """`send(epoch, numbers, errors)` after each epoch; padding is in neither.

    numbers: {"box_error/median": ..., "side/x1": mean signed error, ...}; errors: (n,) box errors.
    """

    def __init__(self, send, loss, x, y):
        super().__init__()
        self.send, self.loss, self.x, self.y = send, loss, x, y

    def on_epoch_end(self, epoch, logs=None):
        levels = self.loss.tensors(self.y, self.model.predict(self.x, verbose=0)).numpy()
        real = keras.ops.convert_to_numpy(self.loss.is_real(self.y))
        errors, sides = levels.box_errors[real], levels.residuals[real].mean(axis=0)
        numbers = {f"box_error/p{q}": float(np.percentile(errors, q)) for q in (50, 90, 100)}
        numbers |= {f"side/{side}": float(mean) for side, mean in zip(SIDES, sides, strict=True)}
        self.send(epoch, numbers, errors)


def to_tensorboard(folder):
    import tensorflow as tf

    writer = tf.summary.create_file_writer(folder)

    def send(epoch, numbers, errors):
        with writer.as_default(step=epoch):
            for name, number in numbers.items():
                tf.summary.scalar(name, number)
            tf.summary.histogram("box_error", errors)
        writer.flush()

    return send


def to_wandb(project):
    import wandb

    run = wandb.init(project=project)
    return lambda epoch, numbers, errors: run.log(
        {**numbers, "box_error": wandb.Histogram(errors)}, step=epoch
    )


def to_mlflow(experiment):
    import mlflow

    mlflow.set_experiment(experiment)
    # MLflow keeps numbers alone: the percentiles stand for the distribution.
    return lambda epoch, numbers, errors: mlflow.log_metrics(numbers, step=epoch)


SENDERS = {"tensorboard": to_tensorboard, "wandb": to_wandb, "mlflow": to_mlflow}


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", choices=SENDERS, default="tensorboard")
    parser.add_argument("--name", default="runs/box_errors", help="folder, project or experiment")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args(argv)
    x, y_true = data()
    layers = [keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(4 * BOXES)]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Reshape((BOXES, 4))])
    model.set_weights(start())
    loss = boxloss.CIoULoss()
    model.compile(keras.optimizers.Adam(RATE, epsilon=EPSILON), loss=loss)
    log = LogBoxErrors(SENDERS[args.to](args.name), loss, x, y_true)
    model.fit(x, y_true, batch_size=len(x), epochs=args.epochs, callbacks=[log], verbose=0)


if __name__ == "__main__":
    main()
