"""A program of somebody who uses boxloss: checkers of types accept every line."""

import numpy as np

import boxloss
from boxloss import functional
from boxloss.coders import DeltaCoder
from boxloss.losses import BoxLoss, TensorLoss

truth = np.array([[[10, 20, 50, 40], [-1, -1, -1, -1]]], "float32")
predicted = truth + np.array([1, 0, 3, 0], "float32")

loss = boxloss.CIoULoss(gated=True, bounding_box_format="xywh", normalizer="batch")
hard = boxloss.GIoULoss(mining=boxloss.HardestBoxes(fraction=0.25), image_shape=(480, 640))
by_name: TensorLoss = boxloss.get("focal_eiou", gamma=0.5)
labels = boxloss.SigmoidFocalLoss(alpha=0.5, normalizer="positives", dtype="float32")
inner = boxloss.InnerIoULoss(base=boxloss.SIoULoss(theta=2.0), ratio=0.8, reduction="sum")
summed = boxloss.WeightedSum({"l1": 5.0, loss: 2.0}, bounding_box_format="xywh")
moving = boxloss.WIoULoss(version=2, running_mean=boxloss.RunningMean(initial=0.5))
anchors = np.array([[0, 0, 8, 4]], "float32")
decoded = boxloss.DecodedBoxLoss(boxloss.DIoULoss(), DeltaCoder(anchors), truth="boxes")


class ClippedLoss(boxloss.GIoULoss):
    def __init__(self, *, limit: float = 1.0) -> None:
        super().__init__(normalizer=3.0, bounding_box_format="xyxy")
        self.limit = limit


losses: list[BoxLoss] = [loss, hard, inner, summed, moving]
tensors = loss.tensors(truth, predicted, sample_weight=np.ones(1), mask=truth[..., 0] >= 0)
overlap = tensors.terms["overlap"] + functional.giou_loss(truth, predicted)
print(loss(truth, predicted), tensors.numpy().box_errors, functional.diou_matrix(truth, truth))
