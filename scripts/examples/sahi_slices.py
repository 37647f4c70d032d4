"""Small objects in large images by SAHI: python scripts/examples/sahi_slices.py RUN IMAGES OUT.json

SAHI cuts each image into slices that overlap, our detector looks at each, and SAHI merges the boxes
in the pixels of the whole image. OUT.json is a list of COCO results, which `boxloss evaluate` and
`boxloss explore` read.
"""

import json
import pathlib
import sys

from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction
from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list

import boxloss
from boxloss.datasets import read_image
from boxloss.files import write_atomically


class BoxlossModel(DetectionModel):
    """A boxloss detector as SAHI asks for one: `BoxlossModel(model=boxloss.load_detector(run))`."""

    def set_model(self, model):
        self.model = model
        self.category_mapping = dict(enumerate(map(str, model.class_names)))

    def perform_inference(self, image):
        self._original_predictions = self.model.predict(
            [image], score_threshold=self.confidence_threshold
        )

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list=((0, 0),), full_shape_list=None
    ):
        shifts = fix_shift_amount_list(shift_amount_list)
        shapes = fix_full_shape_list(full_shape_list) or [None] * len(shifts)
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=[float(side) for side in box],
                    category_id=int(label),
                    category_name=self.category_mapping[int(label)],
                    score=float(score),
                    shift_amount=shift,
                    full_shape=shape,
                )
                for box, label, score in zip(
                    found["boxes"], found["labels"], found["scores"], strict=True
                )
            ]
            for found, shift, shape in zip(self._original_predictions, shifts, shapes, strict=True)
        ]


def sliced_results(model, path, side, overlap=0.2):
    """COCO results of one image, in the pixels of the whole image."""
    result = get_sliced_prediction(
        read_image(path),
        model,
        slice_height=side,
        slice_width=side,
        overlap_height_ratio=overlap,
        overlap_width_ratio=overlap,
        # A box that a slice cuts lies within the whole one: a share of the smaller box sees that.
        # IoU, which SAHI takes at low thresholds unless it is set, does not.
        postprocess_type="GREEDYNMM",
        postprocess_match_metric="IOS",
        force_postprocess_type=True,
        verbose=0,
    )
    results = result.to_coco_predictions(image_id=path.name)
    ids = model.model.category_ids or range(len(model.category_mapping))
    return [
        {**one, "category_id": ids[one["category_id"]], "file_name": path.name} for one in results
    ]


def main(run, images, out, side=320):
    model = BoxlossModel(model=boxloss.load_detector(run), confidence_threshold=0.05)
    paths = sorted(p for p in pathlib.Path(images).iterdir() if p.suffix in (".jpg", ".png"))
    results = [one for path in paths for one in sliced_results(model, path, side)]
    with write_atomically(out) as temporary:
        temporary.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:4])
