"""Lets a torchvision whose compiled operators do not fit the torch beside it be used in tests.

The published torchvision is built for CUDA: beside a CPU build of torch its operators are not
there, and its import fails where it describes them. Its Python parts work. Import this before
torchvision.
"""

import sys

import torch


def forgiving_register_fake(operator, *arguments, **named):
    def decorate(function):
        try:
            return register_fake(operator, *arguments, **named)(function)
        except RuntimeError:  # operator torchvision::nms does not exist
            return function

    return decorate


register_fake = torch.library.register_fake
torch.library.register_fake = forgiving_register_fake
import torchvision  # noqa: E402

torch.library.register_fake = register_fake


def nms(boxes, scores, iou_threshold):
    """Greedy non-maximum suppression, whose operator is compiled: the kept, the best first."""
    order, kept = scores.argsort(descending=True), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        overlap = torchvision.ops.box_iou(boxes[best][None], boxes[order])[0]
        order = order[overlap <= iou_threshold]
    return torch.stack(kept) if kept else order


if not torchvision.extension._has_ops():
    torchvision.ops.nms = torchvision.ops.boxes.nms = nms
    # RoI align in Python compiles itself at the first call, for minutes.
    module = sys.modules["torchvision.ops.roi_align"]
    module._roi_align = module._roi_align.__wrapped__
