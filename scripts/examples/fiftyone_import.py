"""A report in FiftyOne: python scripts/examples/fiftyone_import.py TRUTH RESULTS IMAGES OUT

`BoxReport.to_coco` writes a COCO file whose annotations carry the report's numbers as `boxloss_*`
keys. FiftyOne keeps such keys as attributes of each box, so that its filters and plots work on
them: sort by `boxloss_box_error`, match `boxloss_kind`. Detections without a true box are a second
field.
"""

import json
import pathlib
import sys

import boxloss
from boxloss.files import write_atomically


def write_files(truth, results, images, out):
    """(file of the true boxes, file of the false detections, {category id: name})."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    content = boxloss.BoxReport.from_coco(truth, results, images).to_coco()
    files = out / "truth.json", out / "false.json"
    for path, part in zip(files, (content, content["predictions"]), strict=True):
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(part), encoding="utf-8")
    return *files, {one["id"]: one["name"] for one in content["categories"]}


def main(truth, results, images, out):
    import fiftyone
    import fiftyone.utils.coco as coco

    labels, false, categories = write_files(truth, results, images, out)
    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(images),
        labels_path=str(labels),
        label_types="detections",
        label_field="truth",
        include_id=True,
        extra_attrs=True,
    )
    coco.add_coco_labels(
        dataset,
        "false_detections",
        str(false),
        categories,
        coco_id_field="coco_id",
        extra_attrs=True,
    )
    fiftyone.launch_app(dataset).wait()


if __name__ == "__main__":
    main(*sys.argv[1:5])
