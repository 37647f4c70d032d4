"""Adam and AdamW over all weights as one vector, with their moving average.

Keras updates every variable on its own: with the 180 of a small detector, tracing that graph takes
half a minute of CPU time and each step a tenth of it. One vector makes it a dozen operations.
"""

import keras
import numpy as np

from boxloss.tensors import ops


@keras.utils.register_keras_serializable(package="boxloss")
class FlatAdam(keras.optimizers.Optimizer):
    """Adam; AdamW where `weight_decay` is not 0 (matrices and kernels decay, vectors do not).

    clip: largest global norm of the gradient. average: momentum of the moving average of the
    weights, which `averages` gives.
    Source: Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        weight_decay=0.0,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        clip=10.0,
        average=0.99,
        name="flat_adam",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.decay, self.clip, self.average = weight_decay, clip, average
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._slow, self._slow_rate, self._frozen_steps = frozenset(), 1.0, 0

    def slow_down(self, variables, rate, frozen_steps=0):
        """Let `variables` learn at `rate` times the rate of the others, from step `frozen_steps`.

        Until then they stay as they are. To be called before `build`.
        """
        self._slow = frozenset(map(id, variables))
        self._slow_rate, self._frozen_steps = rate, frozen_steps

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        sizes = [int(np.prod(variable.shape)) for variable in variables]
        # Constants of the compiled step and no variables: they need no place in a checkpoint.
        self._decays = np.concatenate(
            [
                np.full(size, float(len(variable.shape) > 1), "float32")
                for size, variable in zip(sizes, variables, strict=True)
            ]
        )
        self._is_slow = np.concatenate(
            [
                np.full(size, float(id(variable) in self._slow), "float32")
                for size, variable in zip(sizes, variables, strict=True)
            ]
        )
        self.moments = [
            self.add_variable((sum(sizes),), initializer="zeros", name=name)
            for name in ("mean", "square", "weight_average")
        ]

    def apply(self, grads, trainable_variables=None):
        variables = (
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        if not self.built:
            self.build(variables)
        # A variable without a gradient (a head that the batch did not reach) keeps its place in the
        # vector with zeros, or every slice behind it would be another variable's.
        gradient = _flat([_or_zeros(g, v) for g, v in zip(grads, variables, strict=True)])
        gradient = ops.all_replicas_sum(gradient)
        # One norm over all weights: clipping each by itself would turn the direction of the step.
        norm = ops.sqrt(ops.sum(ops.square(gradient)))
        gradient = gradient * (self.clip / ops.maximum(norm, self.clip))
        weights = self._step(gradient, _flat(variables))
        start = 0
        for variable in variables:
            size = int(np.prod(variable.shape))
            part = ops.reshape(weights[start : start + size], variable.shape)
            variable.assign(ops.cast(part, variable.dtype))
            start += size
        self.iterations.assign_add(1)

    def _step(self, gradient, weights):
        """The new weights; moments and average move on."""
        mean, square, average = self.moments
        step = ops.cast(self.iterations, "float32") + 1.0
        rate = ops.cast(self.learning_rate, "float32")
        if self._slow:
            slow = ops.where(ops.less_equal(step, self._frozen_steps), 0.0, self._slow_rate)
            rate = rate * (1.0 + ops.convert_to_tensor(self._is_slow) * (slow - 1.0))
        mean.assign(mean * self.beta_1 + gradient * (1.0 - self.beta_1))
        square.assign(square * self.beta_2 + ops.square(gradient) * (1.0 - self.beta_2))
        unbiased = mean / (1.0 - ops.power(self.beta_1, step))
        spread = ops.sqrt(square / (1.0 - ops.power(self.beta_2, step)))
        decays = ops.convert_to_tensor(self._decays)  # PyTorch moves no array to its device
        # Decay acts on the weights and not through the moments (AdamW): there a large gradient
        # would shrink it.
        weights = weights * (1.0 - rate * self.decay * decays)
        # The epsilon is outside of the root, as in the paper and in Keras.
        weights = weights - rate * unbiased / (spread + self.epsilon)
        # In the first steps the average follows closely, or it would remember the random start.
        momentum = ops.minimum(self.average, step / (step + 9.0))
        average.assign(average * momentum + weights * (1.0 - momentum))
        return weights

    def averages(self):
        """The moving averages of the weights: numpy arrays in the order of the variables."""
        flat, arrays, start = ops.numpy_of(self.moments[2]), [], 0
        for variable in self._trainable_variables:
            size = int(np.prod(variable.shape))
            arrays.append(flat[start : start + size].reshape(variable.shape))
            start += size
        return arrays

    def get_config(self):
        return {
            **super().get_config(),
            "weight_decay": self.decay,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "clip": self.clip,
            "average": self.average,
        }


@keras.utils.register_keras_serializable(package="boxloss")
class ReplicatedAdam(keras.optimizers.AdamW):
    """Keras' AdamW with the arguments and `averages` of `FlatAdam`, for several devices.

    Variables that have a copy on every device are updated one by one, by Keras.
    """

    def __init__(self, learning_rate=1e-3, weight_decay=0.0, clip=10.0, average=0.99, **kwargs):
        kwargs = {"name": "replicated_adam", **kwargs, "use_ema": True, "ema_momentum": average}
        super().__init__(learning_rate, weight_decay=weight_decay, global_clipnorm=clip, **kwargs)
        self._slow, self._slow_rate, self._frozen_steps = frozenset(), 1.0, 0

    slow_down = FlatAdam.slow_down

    def _apply_weight_decay(self, variables):
        """Nothing: `update_step` decays at the rate of each variable, which Keras does not know."""

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, "float32")
        # Under a strategy `variable` is the copy of one replica; its index is that of the original.
        if id(self._trainable_variables[self._get_variable_index(variable)]) in self._slow:
            # `iterations` is raised after the step here and `FlatAdam` counts from 1: both freeze
            # the first `frozen_steps` steps.
            frozen = ops.less(ops.cast(self.iterations, "float32"), self._frozen_steps)
            rate = rate * ops.where(frozen, 0.0, self._slow_rate)
        if self.weight_decay and len(variable.shape) > 1:
            variable.assign(variable * (1.0 - rate * self.weight_decay))
        super().update_step(gradient, variable, rate)

    def averages(self):
        """The moving averages of the weights: numpy arrays in the order of the variables."""
        return [ops.numpy_of(v) for v in self._model_variables_moving_average]

    def finalize_variable_values(self, var_list):
        """`fit` ends here by putting the averages in place; the run itself decides when."""

    def get_config(self):
        config = super().get_config()
        for name in ("use_ema", "ema_overwrite_frequency"):
            config.pop(name)
        return {
            **config,
            "average": config.pop("ema_momentum"),
            "clip": config.pop("global_clipnorm"),
        }


def _flat(tensors):
    return ops.concatenate(
        [ops.reshape(ops.cast(ops.convert_to_tensor(x), "float32"), (-1,)) for x in tensors]
    )


def _or_zeros(gradient, variable):
    return ops.zeros_like(ops.convert_to_tensor(variable)) if gradient is None else gradient
