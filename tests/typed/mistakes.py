"""What checkers of types refuse: each line under "mistakes", and no other."""

import numpy as np

import boxloss

box = np.array([[[10, 20, 50, 40]]], "float32")
loss = boxloss.CIoULoss()

# mistakes
boxloss.GIoULoss(normaliser="batch")
boxloss.CIoULoss(bounding_box_format="xyyx")
boxloss.NoSuchThing
boxloss.GIoULoss(bounding_box_format=4)
boxloss.GIoULoss(normalizer="positives")  # of classes alone
boxloss.IoULoss(mode="cubic")
boxloss.HuberBoxLoss(delta="1")
boxloss.AlphaIoULoss(base="piou")
boxloss.WeightedSum({"l1": 5.0}, coordinate_format="xywh")
boxloss.PIoULoss(version=3)
boxloss.functional.huber_loss(box, box, delta="1")
boxloss.functional.giou_loss(box)
loss.tensors(box, box).residual
