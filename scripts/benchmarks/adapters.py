"""YOLO11n from random weights with the built-in box loss and with boxloss': AP, curves, step times.

    python scripts/benchmarks/adapters.py --images BCCD/train --annotations BCCD/train.json \
        --val-images BCCD/val --val-annotations BCCD/val.json --out runs/adapters

Needs Ultralytics and a torchvision that fits its torch. `--step-times 40` only times steps: those
of all losses take turns on one model and one batch, and each is divided by the first loss's of the
same turn, so that other work on the machine falls on both. `--threads 1` makes CPU seconds those of
the work alone.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import time

import numpy as np

BUILT_IN = "built-in"


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--annotations", type=pathlib.Path)
    parser.add_argument("--val-images", type=pathlib.Path)
    parser.add_argument("--val-annotations", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/adapters"))
    parser.add_argument("--losses", nargs="+", default=[BUILT_IN, "ciou", "wiou"])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--step-times", type=int, metavar="N", help="time N steps of each loss")
    parser.add_argument("--threads", type=int, help="of PyTorch")
    return parser.parse_args(argv)


def yolo_folder(parts, folder):
    """Write the labels of data sets {"train": ..., "val": ...} as Ultralytics reads them."""
    for part, data in parts.items():
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for record in data.records:
            link = images / record.path.name
            if not link.exists():
                link.symlink_to(record.path.resolve())
            (labels / f"{record.path.stem}.txt").write_text("".join(lines(record)))
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(parts["train"].class_names))
    yaml = folder / "data.yaml"
    yaml.write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    )
    return yaml


def lines(record):
    for label, (x1, y1, x2, y2) in zip(record.labels, record.boxes.tolist(), strict=True):
        center = (x1 + x2) / 2 / record.width, (y1 + y2) / 2 / record.height
        size = (x2 - x1) / record.width, (y2 - y1) / record.height
        yield f"{label} {center[0]:.6f} {center[1]:.6f} {size[0]:.6f} {size[1]:.6f}\n"


def train(loss, yaml, truth, args):
    """AP and the curve of the box loss of one training."""
    from ultralytics import YOLO

    from boxloss.adapters import ultralytics
    from boxloss.adapters.record import Record

    model, curve = YOLO("yolo11n.yaml"), []
    model.add_callback(
        "on_train_epoch_end",
        lambda trainer: curve.append(round(float(next(iter(trainer.tloss.values()))), 4)),
    )
    arguments = {
        "data": str(yaml),
        "epochs": args.epochs,
        "imgsz": args.image_size,
        "batch": args.batch_size,
        "seed": args.seed,
        "project": str(args.out.resolve()),
        "name": loss,
        **{"exist_ok": True, "workers": 0, "device": "cpu", "plots": False, "verbose": False},
        # AdamW at a fixed rate and no mosaic: a schedule that learns something within few epochs.
        **{"optimizer": "AdamW", "lr0": 0.002, "warmup_epochs": 1, "mosaic": 0.0, "amp": False},
        **{"val": False, "save": True, "pretrained": False},
    }
    begin, cpu = time.perf_counter(), time.process_time()
    if loss == BUILT_IN:
        model.train(**arguments)
    else:
        record = Record(truth)
        with ultralytics.use(loss, record=record):
            model.train(**arguments)
        record.write(args.out / loss)
    seconds = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - begin}
    found = YOLO(args.out / loss / "weights" / "last.pt").val(
        data=str(yaml), imgsz=args.image_size, workers=0, device="cpu", plots=False, verbose=False
    )
    ap = {"AP": float(found.box.map), "AP50": float(found.box.map50)}
    return {**rounded({**ap, **seconds}), "box_loss": curve}


def step_times(args):
    """Median seconds and CPU seconds of a step, and medians of their ratio to the first loss's."""
    import torch
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import DEFAULT_CFG

    from boxloss.adapters import ultralytics

    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    size, images = args.image_size, args.batch_size
    model = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    model.args = DEFAULT_CFG
    model.train()
    center = 0.2 + 0.6 * torch.rand(14 * images, 2)
    batch = {
        "img": torch.rand(images, 3, size, size),
        "batch_idx": torch.arange(images).repeat_interleave(14).float(),
        "cls": torch.randint(0, 3, (14 * images, 1)).float(),
        "bboxes": torch.cat([center, 0.1 + 0.2 * torch.rand(14 * images, 2)], dim=1),
    }

    def step():
        begin, cpu = time.perf_counter(), time.process_time()
        model.zero_grad()
        model(batch)[0].sum().backward()
        return time.perf_counter() - begin, time.process_time() - cpu

    times = {loss: [] for loss in args.losses}
    for turn in range(args.step_times + 3):
        for loss in args.losses:
            if loss == BUILT_IN:
                seconds = step()
            else:
                with ultralytics.use(loss):
                    seconds = step()
            if turn >= 3:  # the first calls set up
                times[loss].append(seconds)
    medians = {}
    for loss, values in times.items():
        ratios = np.divide(values, times[args.losses[0]])
        columns = [*np.median(values, axis=0), *np.median(ratios, axis=0)]
        names = ("seconds", "cpu_seconds", "ratio", "cpu_ratio")
        medians[loss] = rounded(dict(zip(names, columns, strict=True)))
    return medians


def rounded(numbers):
    return {name: round(float(value), 4) for name, value in numbers.items()}


def main(argv=None):
    args = parse(argv)
    if args.step_times:
        print(json.dumps(step_times(args)))
        return
    from boxloss import datasets

    parts = {
        "train": datasets.load(args.images, args.annotations),
        "val": datasets.load(args.val_images, args.val_annotations),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    yaml = yolo_folder(parts, args.out / "data")
    results = {}
    with contextlib.redirect_stdout(sys.stderr):  # what Ultralytics prints
        for loss in args.losses:
            results[loss] = train(loss, yaml, parts["train"], args)
            print(loss, json.dumps(results[loss]))
    print(json.dumps({"epochs": args.epochs, "image_size": args.image_size, **results}))


if __name__ == "__main__":
    main()
