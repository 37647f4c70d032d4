"""CIoU in a JAX loop with optax: KERAS_BACKEND=jax python scripts/examples/jax_optax.py"""

import jax
import jax.numpy as jnp
import optax
from problem import BOXES, EPSILON, RATE, STEPS, data, finish, start

import boxloss


def main(argv=None):
    x, y_true = data()
    weights = [jnp.asarray(weight) for weight in start()]
    loss, optimizer = boxloss.CIoULoss(), optax.adam(RATE, eps=EPSILON)
    state = optimizer.init(weights)

    def cost(weights):
        hidden = jnp.tanh(x @ weights[0] + weights[1])
        return loss(y_true, jnp.reshape(hidden @ weights[2] + weights[3], (-1, BOXES, 4)))

    @jax.jit
    def step(weights, state):
        value, gradients = jax.value_and_grad(cost)(weights)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(weights, updates), state, value

    losses = []
    for _ in range(STEPS):
        weights, state, value = step(weights, state)
        losses.append(value)
    finish(argv, losses, weights)


if __name__ == "__main__":
    main()
