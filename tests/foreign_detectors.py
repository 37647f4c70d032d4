"""Small detectors of other libraries, from random weights, and a batch for each.

`make(name)` gives a model and a function that measures it: `losses(model) -> (box loss, total)`.

    python tests/foreign_detectors.py retinanet fcos     # their box loss, built-in and by ours
"""

import importlib
import os
import sys
import tempfile

os.environ.setdefault("YOLO_OFFLINE", "true")
# Where Ultralytics writes its settings.
os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp(prefix="boxloss-ultralytics-"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
import torchvision_stub  # noqa: E402, F401 - Ultralytics and Transformers import torchvision

# Two workers run tests on two cores; threads that wait for each other burn them.
torch.set_num_threads(1)
CENTERS = [[[0.5, 0.5, 0.4, 0.3], [0.2, 0.3, 0.2, 0.25]], [[0.6, 0.6, 0.5, 0.7]]]
LABELS = [[0, 1], [2]]
SIZE = 96


def images(size=SIZE):
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, 3, size, size, generator=generator)


# Ultralytics --------------------------------------------------------------------------------------


def yolo_batch(angles=()):
    boxes = torch.tensor([box for image in CENTERS for box in image])
    if angles:
        boxes = torch.cat([boxes, torch.tensor(angles)[:, None]], dim=1)
    return {
        "img": images(),
        "batch_idx": torch.tensor([0.0, 0.0, 1.0]),
        "cls": torch.tensor([[0.0], [1.0], [2.0]]),
        "bboxes": boxes,
        "im_file": ["folder/a.jpg", "folder/b.jpg"],
    }


def yolo(config, batch):
    from ultralytics.nn import tasks
    from ultralytics.utils import DEFAULT_CFG

    kind = tasks.OBBModel if "obb" in config else tasks.DetectionModel
    model = kind(config, nc=3, verbose=False)
    model.args = DEFAULT_CFG

    def losses(model):
        total, items = model(batch)
        return items["box_loss"], total.sum()

    return model, losses


# torchvision --------------------------------------------------------------------------------------


def corners(center):
    x, y, w, h = (SIZE * v for v in center)
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def vision_targets():
    return [
        {
            "boxes": torch.tensor([corners(center) for center in CENTERS[i]]),
            "labels": torch.tensor(LABELS[i]) + 1,
            "image_id": i + 1,
        }
        for i in range(2)
    ]


# Suppression and RoI align are slow in Python: few proposals.
FEW = {
    "rpn_pre_nms_top_n_train": 50,
    "rpn_post_nms_top_n_train": 20,
    "box_batch_size_per_image": 16,
}


def vision(name, key, box_loss=None, **arguments):
    from torchvision.models import detection
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    levels = {"returned_layers": [2, 3, 4], "extra_blocks": LastLevelP6P7(256, 256)}
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, **levels)
    model = getattr(detection, name)(backbone, 4, min_size=SIZE, max_size=SIZE, **arguments)
    if box_loss is not None:
        model.head.regression_head._loss_type = box_loss

    def losses(model):
        torch.manual_seed(0)  # Faster R-CNN draws its samples
        found = model(list(images()), vision_targets())
        return found[key], sum(found.values())

    return model, losses


# Transformers -------------------------------------------------------------------------------------


def detr_labels():
    return [
        {
            "boxes": torch.tensor(CENTERS[i]),
            "class_labels": torch.tensor(LABELS[i]),
            "image_id": torch.tensor([i + 1]),
        }
        for i in range(2)
    ]


RESNET = {
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64, 128],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
}
HGNET = {
    "stem_channels": [3, 16, 16],
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64, 128],
    "depths": [1] * 4,
    "stage_in_channels": [16, 16, 32, 64],
    "stage_mid_channels": [16] * 4,
    "stage_out_channels": [16, 32, 64, 128],
    "stage_num_blocks": [1] * 4,
    "stage_downsample": [False, True, True, True],
    "stage_light_block": [False] * 4,
    "stage_kernel_size": [3] * 4,
    "stage_numb_of_layers": [1] * 4,
}
LEVELS = {"out_features": ["stage2", "stage3", "stage4"]}
SMALL = {
    "d_model": 64,
    "num_queries": 30,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_labels": 3,
}
PLAIN = {"use_timm_backbone": False, "use_pretrained_backbone": False, "auxiliary_loss": True}
REAL_TIME = {
    "encoder_hidden_dim": 64,
    "encoder_in_channels": [32, 64, 128],
    "feat_strides": [8, 16, 32],
    "decoder_in_channels": [64] * 3,
    "num_denoising": 10,
    "encode_proj_layers": [2],
}


def detr(kind):
    import transformers as t

    backbone, config = {
        "Detr": lambda: (t.ResNetConfig(**RESNET, out_features=["stage4"]), PLAIN),
        "DeformableDetr": lambda: (
            t.ResNetConfig(**RESNET, **LEVELS),
            {**PLAIN, "num_feature_levels": 3},
        ),
        "RTDetr": lambda: (t.RTDetrResNetConfig(**RESNET, **LEVELS), REAL_TIME),
        "DFine": lambda: (t.HGNetV2Config(**HGNET, **LEVELS), REAL_TIME),
    }[kind]()
    config = getattr(t, f"{kind}Config")(backbone_config=backbone, **SMALL, **config)
    model = getattr(t, f"{kind}ForObjectDetection")(config)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    def losses(model):
        torch.manual_seed(0)  # denoising queries are drawn
        found = model(pixel_values=images(), labels=detr_labels())
        return found.loss_dict["loss_giou"], found.loss

    return model, losses


MAKERS = {
    "yolo11n": lambda: yolo("yolo11n.yaml", yolo_batch()),
    "yolo26n": lambda: yolo("yolo26n.yaml", yolo_batch()),
    "yolo11n-obb": lambda: yolo("yolo11n-obb.yaml", yolo_batch([0.3, 1.0, 0.7])),
    "retinanet": lambda: vision("RetinaNet", "bbox_regression", "giou"),
    "retinanet_l1": lambda: vision("RetinaNet", "bbox_regression", "l1"),
    "fcos": lambda: vision("FCOS", "bbox_regression"),
    "faster_rcnn": lambda: vision("FasterRCNN", "loss_box_reg", **FEW),
    "detr": lambda: detr("Detr"),
    "deformable_detr": lambda: detr("DeformableDetr"),
    "rt_detr": lambda: detr("RTDetr"),
    "d_fine": lambda: detr("DFine"),
}


def make(name):
    """(model in training mode, losses)."""
    torch.manual_seed(0)
    model, losses = MAKERS[name]()
    return model.train(), losses


def measured(model, losses, part=""):
    """(box loss, gradient of the total as one tensor); weights and running statistics stay.

    part: the gradient is that of the parameters with this in their name.
    """
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.zero_grad()
    box, total = losses(model)
    total.backward()
    model.load_state_dict(before)
    named = [(name, p.grad) for name, p in model.named_parameters() if part in name]
    return float(box), torch.cat([grad.flatten() for _, grad in named if grad is not None])


def compare(name, losses=("ciou", "giou", "siou", "wiou")):
    """One line: the box loss of the built-in, and with each loss in its place."""
    library = "transformers" if name.endswith(("detr", "d_fine")) else "torchvision"
    library = "ultralytics" if name.startswith("yolo") else library
    adapter = importlib.import_module(f"boxloss.adapters.{library}")
    model, box_loss = make(name)
    found = {"built-in": measured(model, box_loss)[0]}
    for loss in losses:
        with adapter.use(loss):
            found[loss] = measured(model, box_loss)[0]
    return f"{name:16}" + "  ".join(f"{loss} {value:.5f}" for loss, value in found.items())


if __name__ == "__main__":
    for detector in sys.argv[1:]:
        print(compare(detector))
