"""YOLO11n trained with WIoU: python scripts/examples/ultralytics_wiou.py data.yaml IMAGES

data.yaml is Ultralytics' own, IMAGES the folder of its training images. Opens the page of the boxes
that are wrong, with the history of each over the training.
"""

import sys
import webbrowser

from ultralytics import YOLO

import boxloss
from boxloss.adapters import ultralytics
from boxloss.adapters.record import Record


def main(data, images, epochs=30, show=webbrowser.open, **train):
    record = Record(boxloss.datasets.load(images, data))
    model = YOLO("yolo11n.yaml")
    with ultralytics.use("wiou", record=record):
        model.train(data=data, epochs=epochs, mosaic=0, **train)
    history = record.write(model.trainer.save_dir)
    found = YOLO(model.trainer.last).val(data=data, split="train", save_json=True, **train)
    report = boxloss.BoxReport.from_coco(record.truth, found.save_dir / "predictions.json", images)
    report.add_history(history)
    show(report.to_html(found.save_dir / "page").as_uri())


if __name__ == "__main__":
    main(*sys.argv[1:3])
