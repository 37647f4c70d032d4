"""The other half of `assignment.py`, in an interpreter that has Ultralytics.

Run as a file, so that it needs nothing of boxloss: `python assignment_peer.py inputs.npz
outputs.npz`. For each line on stdin it assigns once and prints the seconds that it took.
"""

import sys
import time


def main(inputs, outputs):
    import numpy as np
    import torch
    from ultralytics.utils.metrics import bbox_iou
    from ultralytics.utils.tal import TaskAlignedAssigner

    class ByIoU(TaskAlignedAssigner):
        """With the paper's IoU in CIoU's place, so that both compute the same."""

        def iou_calculation(self, gt_bboxes, pd_bboxes):
            return bbox_iou(gt_bboxes, pd_bboxes, xywh=False).squeeze(-1).clamp_(0)

    data = {key: torch.from_numpy(array) for key, array in np.load(inputs).items()}
    real = (data["true_boxes"] != -1).any(-1, keepdim=True)
    assigner = ByIoU(topk=10, num_classes=data["scores"].shape[-1], alpha=0.5, beta=6.0)
    arguments = (
        data["scores"],
        data["boxes"],
        data["points"],
        data["true_labels"].clamp(0).unsqueeze(-1),
        torch.where(real, data["true_boxes"], 0.0),
        real.float(),
    )
    _, _, scores, found, index = assigner(*arguments)
    index = torch.where(found, index, -1)
    np.savez(outputs, index=index.numpy(), quality=scores.max(-1).values.numpy())
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        assigner(*arguments)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
