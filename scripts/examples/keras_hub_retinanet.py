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


def for_keras_hub(dataset, batch_size, image_size):
    """Our batches as a tf.data.Dataset, which is all that KerasHub's `fit` reads beside arrays.

    Images (B, S, S, 3) in 0 to 255, and a dict of boxes, xyxy in pixels, and labels; -1 is padding.
    """
    import tensorflow as tf

    batches = boxloss.datasets.Batches(dataset, batch_size, image_size, shuffle=True)

    def epoch():
        for index in range(len(batches)):
            images, truth = batches[index]
            yield images, {"boxes": truth["boxes"], "labels": truth["labels"]}
        batches.on_epoch_end()

    boxes = tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None), "int32")
    signature = (
        tf.TensorSpec((None, image_size, image_size, 3)),
        dict(zip(("boxes", "labels"), boxes, strict=True)),
    )
    data = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(len(batches)))


def main(preset, images, labels, image_size=512):
    import keras_hub

    dataset = boxloss.datasets.load(images, labels)
    detector = keras_hub.models.RetinaNetObjectDetector.from_preset(
        preset, num_classes=len(dataset.class_names), bounding_box_format="xyxy"
    )
    fine_tune(detector, for_keras_hub(dataset, 4, image_size))
    detector.save("retinanet.keras")


if __name__ == "__main__":
    main(*sys.argv[1:4])
