"""State of losses that learn from one batch for the next: WIoU's running mean, GHM-R's histogram.

A Keras Loss cannot own a variable: it is in no model, is lost on reload, moves in evaluation too,
and does not move at all under JAX. So a layer owns it, and a model owns the layer:

    model.compile("adam", loss=boxloss.WIoULoss(running_mean=boxloss.RunningMean()))
    model.fit(..., callbacks=[boxloss.MoveLossState()])   # moves in training, still in evaluation

The callback makes the model own the states of its losses, so that they are saved with its weights.
A compiled `.keras` model holds their values with its losses as well: loaded, they are the same, and
the callback makes the new model own them. A layer moves at every call of its loss until `stop()`;
one that was loaded does not move until the callback, or `start()`, lets it, and warns of it.
`loss.tensors(...)` never moves it. The sums run over all replicas. Where it could not move, on JAX
in a model that does not own it, the loss raises; a loaded one does not move there either.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from boxloss.losses.base import TensorLoss
from boxloss.tensors import boxes, checks, ops
from boxloss.types import ArrayLike, Config, ImageShape, Tensor

__all__ = ["GradientHistogram", "LossState", "MoveLossState", "RunningMean"]


# Who owns the number that a loss learns from batch to batch? Tried, and why not:
# - A variable of the loss. A Keras Loss is in no model: nothing saves it, `load_model` starts again
#   from the initial value, and under JAX a variable outside the model cannot change in `fit`.
# - A plain Python number, updated by a callback. The value would be compiled into the graph once.
# - A variable that moves whenever the loss is called. Evaluation calls it too, so that validating
#   twice would change the next training step.
# So a layer holds the variable, the model tracks the layer, and `moving` is a second variable: a
# flag in Python would be compiled in, too.
class LossState(keras.layers.Layer):
    """One variable `value`, and `moving`: 1 while it may move, else 0."""

    def __init__(self, shape: tuple[int, ...], initial: float, name: str | None) -> None:
        super().__init__(trainable=False, dtype="float32", name=name)
        # float32 for every dtype of the loss: a mean in float16 no longer moves once a step is
        # below 2^-11 of it.
        self.value = self._variable("value", shape, keras.initializers.Constant(initial))
        self.moving = self._variable("moving", (), keras.initializers.Constant(1.0))
        self.built = True
        # `_waits`: loaded, and nobody has said whether training goes on. See `from_config`.
        self._waits = self._warned = False

    def _variable(self, name, shape, initializer):
        arguments = {"name": name, "shape": shape, "initializer": initializer, "trainable": False}
        # With MirroredStrategy each replica has a copy of the variable. Their new values are equal,
        # because the sums behind them are all-reduced; "mean" keeps them so, where the default
        # would refuse.
        if ops.KERAS_3:
            # All replicas assign the same: their mean.
            return self.add_weight(aggregation="mean", **arguments)
        import tensorflow as tf

        return self.add_weight(aggregation=tf.VariableAggregation.MEAN, **arguments)

    @classmethod
    def from_config(cls, config: Config) -> "LossState":
        """The state of a saved loss: it does not move until `start`."""
        # A loaded model is mostly evaluated or used, which must not move what was learned. Training
        # again needs a decision: `MoveLossState` takes it, or `start()`.
        state = super().from_config(config)
        state.stop()
        state._waits = True
        return state

    def start(self) -> None:
        """Let it move (training)."""
        self._waits = False
        self.moving.assign(1.0)

    def stop(self) -> None:
        """Hold it (evaluation)."""
        self.moving.assign(0.0)

    # Constant in the gradient: the state says how hard a box is, it is not a way to lower the loss.
    def read(self, dtype: str | None) -> Tensor:
        return ops.stop_gradient(ops.cast(ops.convert_to_tensor(self.value), dtype))

    def move_to(self, value: Tensor) -> None:
        """Assign `value`, unless it is stopped."""
        # Assigning to a variable that JAX's `fit` does not know succeeds and is forgotten after the
        # step. Silence would mean a constant running mean in every training, so it is an error; for
        # a loaded layer, which is frozen anyway, it is not.
        lost = self._would_be_lost()
        if lost and not self._waits:
            raise ValueError(
                f"`{type(self).__name__}` must belong to the model on JAX, where nothing else can "
                "move in fit: give fit callbacks=[boxloss.MoveLossState()]. "
                f"Received: the layer {self.name!r} in no model"
            )
        if self._waits and not self._warned:
            self._warned = True
            warnings.warn(
                f"the layer {self.name!r} was loaded and is frozen: let it move in training by "
                "boxloss.MoveLossState() among the callbacks, or by its start()",
                stacklevel=4,
            )
        if lost:
            return
        # value = old + share * (new - old) and not a branch on `moving`: in a compiled step the
        # flag is a tensor, and assigning the old value costs nothing.
        old = self.read("float32")
        share = ops.cast(ops.convert_to_tensor(self.moving), "float32")
        value = ops.cast(ops.stop_gradient(value), "float32")
        self.value.assign(old + share * (value - old))

    def _would_be_lost(self):
        """Whether this is JAX's `fit` or `evaluate` of a model that does not own the layer."""
        if ops.backend() != "jax":
            return False
        # Keras' JAX trainer passes the variables of the model in and out of a stateless scope. The
        # scope is the only place that knows them; `get_stateless_scope` has no public name.
        from keras.src.backend.common.stateless_scope import get_stateless_scope

        scope = get_stateless_scope()
        known = scope.state_mapping if scope is not None else {}
        return bool(known) and id(self.value) not in known


@keras.saving.register_keras_serializable(package="boxloss")
class RunningMean(LossState):
    """WIoU's running mean of 1 - o. Args: initial: where it starts, above 0."""

    def __init__(self, *, initial: float = 1.0, name: str | None = None) -> None:
        super().__init__((), checks.positive("initial", initial), name)

    def get_config(self) -> Config:
        # The reason why a config holds numbers that were learned: `model.save` writes the compiled
        # loss as its configuration, beside the weights of the layers that the model owns.
        # The current value: a loss that is saved with a compiled model starts again from it.
        return {"name": self.name, "initial": float(ops.convert_to_numpy(self.value))}


@keras.saving.register_keras_serializable(package="boxloss")
class GradientHistogram(LossState):
    """GHM-R's moving counts of coordinates by gradient norm.

    Args: bins: their number. counts: where they start, `bins` numbers; 0 by default.
    """

    def __init__(
        self, *, bins: int = 10, counts: Sequence[float] | None = None, name: str | None = None
    ) -> None:
        bins = checks.count("bins", bins)
        super().__init__((bins,), 0.0, name)
        self.bins = bins
        if counts is not None:
            if len(counts) != bins:
                raise ValueError(
                    f"`counts` must be {bins} numbers, one per bin. Received: {len(counts)} numbers"
                )
            self.value.assign([checks.non_negative("counts", float(x)) for x in counts])

    def get_config(self) -> Config:
        counts = [float(x) for x in ops.convert_to_numpy(self.value)]
        return {"name": self.name, "bins": self.bins, "counts": counts}


def states_of(loss):
    """The states of a loss, of the losses within it, or of any structure of losses; each once."""
    found = []

    def collect(loss):
        if isinstance(loss, dict):
            loss = list(loss.values())
        if isinstance(loss, (list, tuple)):
            for part in loss:
                collect(part)
        elif isinstance(loss, keras.losses.Loss):
            state = getattr(loss, "state", None)
            if isinstance(state, LossState) and all(state is not other for other in found):
                found.append(state)
            # Losses hold others in these two ways; a state that two of them share is found once.
            collect(getattr(loss, "losses", None))  # of a WeightedSum: (loss, weight)
            collect(getattr(loss, "loss", None))  # of a DecodedBoxLoss

    collect(loss)
    return found


class MoveLossState(keras.callbacks.Callback):
    """Lets states of losses move in training only: not in evaluation, not after it.

    The model owns them from then on: they are saved with its weights, and move on JAX too.

    Args: states: the layers; by default those of the losses that the model is compiled with.
    """

    def __init__(self, *states: LossState) -> None:
        super().__init__()
        self.states = states
        self._training = False

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.states = self.states or tuple(states_of(getattr(model, "loss", None)))
        # Setting an attribute of a model makes it track the layer. A layer that it has already,
        # because two outputs share one loss or fit is called again, must not be set twice.
        owned = {id(variable) for variable in model.variables}
        for index, state in enumerate(self.states):
            if id(state.value) not in owned:
                setattr(model, f"loss_state_{index}", state)

    def _start(self):
        for state in self.states:
            state.start()

    def _stop(self):
        for state in self.states:
            state.stop()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._training = True
        self._start()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._training = False
        self._stop()

    # Validation inside `fit` arrives here as well, between two epochs of training: stopped before
    # it, started after it, unless the training is over.
    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._training:
            self._start()


class StatefulLoss(TensorLoss):
    """A loss with a `state`, a `LossState` or None, which moves after each call."""

    state: Any = None

    @property
    def is_pure(self) -> bool:
        return self.state is None

    def move(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        mask: ArrayLike | None = None,
        image_shape: ImageShape | None = None,
    ) -> None:
        """One step of the state by this batch."""
        if self.state is None:
            return
        # The errors are computed a second time here. Handing them out of the ladder would make the
        # state an output of every loss, compiled or not; a compiler merges both where they are in
        # one graph.
        y_true = boxes.known(y_true, self.true_shape)
        y_pred = boxes.known(y_pred, self.predicted_shape)
        y_true, y_pred = self.widen(y_true, y_pred)
        real = self.is_real(y_true)
        if mask is not None:
            real = ops.logical_and(ops.convert_to_tensor(mask), real)
        y_true, y_pred = self.fill(y_true, y_pred, real)
        self.state.move_to(self.moved(y_true, y_pred, real, image_shape))

    def moved(self, y_true: Tensor, y_pred: Tensor, real: Tensor, image_shape: Tensor) -> Any:
        """The new value of the state."""
        raise NotImplementedError
