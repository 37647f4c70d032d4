"""KerasHub's RetinaNet with a box loss of boxloss.

    python scripts/examples/keras_hub_retinanet.py PRESET IMAGES LABELS

PRESET is one of KerasHub, such as retinanet_resnet50_fpn_coco; it is downloaded. IMAGES and LABELS
are whatever `boxloss.datasets.load` reads.
"""

import sys

import keras

import boxloss
from boxloss.adapters.keras_hub import retinanet_box_loss


def fine_tune(detector, batches, loss="ciou", epochs=10, rate=1e-4):
    """Train the detector with the box loss; returns Keras' history."""
    optimizer = keras.optimizers.Adam(rate, clipnorm=1.0)
    detector.compile(optimizer, box_loss=retinanet_box_loss(detector, loss))
    return detector.fit(batches, epochs=epochs, verbose=2).history


class ForKerasHub(keras.utils.PyDataset):
    """Our batches with the two keys that KerasHub's RetinaNet reads, boxes as xyxy in pixels."""

    def __init__(self, dataset, batch_size, image_size):
        super().__init__()
        self.batches = boxloss.datasets.Batches(dataset, batch_size, image_size, shuffle=True)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        images, truth = self.batches[index]
        return images, {"boxes": truth["boxes"], "labels": truth["labels"]}

    def on_epoch_end(self):
        self.batches.on_epoch_end()


def main(preset, images, labels, image_size=512):
    import keras_hub

    dataset = boxloss.datasets.load(images, labels)
    detector = keras_hub.models.RetinaNetObjectDetector.from_preset(
        preset, num_classes=len(dataset.class_names), bounding_box_format="xyxy"
    )
    fine_tune(detector, ForKerasHub(dataset, 4, image_size))
    detector.save("retinanet.keras")


if __name__ == "__main__":
    main(*sys.argv[1:4])
