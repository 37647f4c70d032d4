"""What a loss does to a box: the regression simulation with exact gradients.

Boxes all around a target are moved by a loss's gradient, step by step, and the errors are summed.
`simulate(loss, ...)` runs it, `trajectory` follows chosen boxes, `descent_direction` gives the
gradient that moves them; `plot_curves`, `plot_surface` and `plot_trajectories` draw it
(matplotlib).

    result = boxloss.simulation.simulate("giou", points="vogel50")
    result.errors[-1]          # what is left after 200 steps
    result.share_above[0.9]    # share of boxes that ended above IoU 0.9

Sources: Zheng et al. 2020, "Distance-IoU Loss", arXiv:1911.08287, section 3 ("zheng"); Tong et al.
2023, "Wise-IoU", arXiv:2301.10051 ("tong"). The gradients are those of the losses as published,
which the first paper's own code does not use.
"""

from boxloss.simulation.cases import PROTOCOLS, case, point_set
from boxloss.simulation.plots import plot_curves, plot_surface, plot_trajectories, plot_ways
from boxloss.simulation.run import (
    Result,
    default_arguments,
    descent_direction,
    simulate,
    trajectory,
)

__all__ = [
    "PROTOCOLS",
    "Result",
    "case",
    "default_arguments",
    "descent_direction",
    "plot_curves",
    "plot_surface",
    "plot_trajectories",
    "plot_ways",
    "point_set",
    "simulate",
    "trajectory",
]
