"""Results of other tools find the images and classes that they mean, or are refused."""

import json

import cv2
import numpy as np
import pytest

import boxloss
from boxloss import cli, datasets, evaluation
from boxloss.audit import LabelAudit

NAMES = ["cell", "dog", "ant"]  # the class list of a detector: not alphabetical
STEMS = {
    "1 to 12": [str(number) for number in range(1, 13)],
    "odd ones": ["2", "3", "4", "5", "0007", "img_a"],
    "folders": ["a/1", "a/2", "b/10", "b/11"],
}


class Scene:
    """Images of 100 x 80 pixels with three boxes each, in all three formats."""

    def __init__(self, folder, stems):
        self.folder, self.stems = folder, stems
        rng = np.random.default_rng(3)
        self.boxes = {}  # stem: [(class number, x, y, width, height)]
        for stem in stems:
            path = folder / "images" / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 255, (80, 100, 3)).astype("uint8"))
            places = rng.integers(0, 40, (3, 2))
            sizes = rng.integers(12, 39, (3, 2))
            order = [0, *rng.integers(0, 3, 2)]
            self.boxes[stem] = [
                (int(c), *map(int, (*place, *size)))
                for c, place, size in zip(order, places, sizes, strict=True)
            ]

    def truth(self, kind):
        """The DataSet of one format."""
        return datasets.load(self.folder / "images", getattr(self, kind)())

    def yolo(self):
        for stem, boxes in self.boxes.items():
            path = self.folder / "labels" / f"{stem}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "".join(
                    f"{c} {(x + w / 2) / 100} {(y + h / 2) / 80} {w / 100} {h / 80}\n"
                    for c, x, y, w, h in boxes
                )
            )
        (self.folder / "data.yaml").write_text(f"names: [{', '.join(NAMES)}]\n")
        return self.folder / "data.yaml"

    def voc(self):
        for stem, boxes in self.boxes.items():
            path = self.folder / "voc" / f"{stem.rsplit('/')[-1]}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"<annotation><filename>{stem}.png</filename>"
                "<size><width>100</width><height>80</height></size>"
                + "".join(
                    f"<object><name>{NAMES[c]}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
                    f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
                    for c, x, y, w, h in boxes
                )
                + "</annotation>"
            )
        return self.folder / "voc"

    def coco(self):
        """Its ids are others than the stems, and the right ones for other images."""
        ids = {stem: len(self.stems) - i for i, stem in enumerate(self.stems)}
        content = {
            "images": [
                {"id": ids[stem], "file_name": f"{stem}.png", "width": 100, "height": 80}
                for stem in self.stems
            ],
            "categories": [{"id": 10 * (c + 1), "name": name} for c, name in enumerate(NAMES)],
            "annotations": [
                {"image_id": ids[stem], "category_id": 10 * (c + 1), "bbox": [x, y, w, h]}
                for stem, boxes in self.boxes.items()
                for c, x, y, w, h in boxes
            ],
        }
        for number, entry in enumerate(content["annotations"], 1):
            entry["id"] = number
        (self.folder / "truth.json").write_text(json.dumps(content))
        return self.folder / "truth.json"

    def results(self, base=1, named=True):
        """Perfect results as Ultralytics writes them: stems, as numbers where they are some."""
        found = []
        for stem, boxes in self.boxes.items():
            bare = stem.rsplit("/", 1)[-1]
            for c, x, y, w, h in boxes:
                entry = {
                    "image_id": int(bare) if bare.isnumeric() else bare,
                    "category_id": c + base,
                    "bbox": [x, y, w, h],
                    "score": 0.9,
                }
                found.append(entry | ({"file_name": f"{bare}.png"} if named else {}))
        return found

    def write(self, results):
        (self.folder / "predictions.json").write_text(json.dumps(results))
        return self.folder / "predictions.json"


def paired(truth, results, **how):
    truth = evaluation.Truth.of(truth)
    return evaluation.Detections.of(results, truth, **how)


def assert_perfect(truth, results, **how):
    found = paired(truth, results, **how)
    assert evaluation.coco_metrics(truth, found)["AP"] == pytest.approx(1)
    assert found.unknown == {"images": 0, "categories": 0} and found.unseen == []


# Images -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["yolo", "voc", "coco"])
@pytest.mark.parametrize("stems", STEMS)
def test_perfect_results_of_ultralytics_are_perfect(stems, kind, tmp_path):
    scene = Scene(tmp_path, STEMS[stems])
    classes = {"class_names": NAMES} if kind == "voc" else {}
    assert_perfect(scene.truth(kind), scene.write(scene.results()), **classes)


@pytest.mark.parametrize("kind", ["yolo", "voc"])
@pytest.mark.parametrize("stems", STEMS)
def test_without_file_names_the_stems_are_known(stems, kind, tmp_path):
    scene = Scene(tmp_path, STEMS[stems])
    assert_perfect(scene.truth(kind), scene.write(scene.results(named=False)), class_names=NAMES)


def test_results_of_coco_ids_are_read_by_their_ids_although_the_stems_are_numbers_too(tmp_path):
    scene = Scene(tmp_path, STEMS["1 to 12"])
    truth = scene.truth("coco")
    found = [
        {**{key: a[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.5}
        for a in truth.to_coco()["annotations"]
    ]
    assert_perfect(truth, found)
    assert paired(truth, found).images_by == "id"
    # The same as text and as floats.
    texts = [
        e | {"image_id": str(e["image_id"]), "category_id": float(e["category_id"])} for e in found
    ]
    assert_perfect(truth, texts)


def test_where_ids_and_stems_fit_and_the_boxes_speak_for_the_stems_it_is_refused(tmp_path):
    scene = Scene(tmp_path, STEMS["1 to 12"])
    truth, results = scene.truth("coco"), scene.results(named=False)
    with pytest.raises(ValueError, match="--pair-images .* id, file_name or stem decides") as error:
        paired(truth, results)
    assert "36 by stem" in str(error.value)
    assert_perfect(truth, results, pair_images="stem")
    assert evaluation.coco_metrics(truth, paired(truth, results, pair_images="id"))["AP"] < 0.2


def test_file_names_are_known_with_folders_of_another_machine_in_front(tmp_path):
    scene = Scene(tmp_path, ["a/1", "b/1", "b/2", "c/7"])  # the bare names do not suffice
    results = scene.results()
    for entry, stem in zip(results, np.repeat(scene.stems, 3), strict=True):
        entry["file_name"], entry["image_id"] = f"C:\\data\\{stem}.png".replace("/", "\\"), 0
    assert_perfect(scene.truth("yolo"), results)


def test_a_stem_of_two_images_is_none(tmp_path):
    scene = Scene(tmp_path, ["a/1", "b/1", "b/2", "b/3"])
    found = paired(scene.truth("yolo"), scene.write(scene.results(named=False)))
    assert found.unknown["images"] == 6 and len(found) == 6
    assert [scene.stems[i] for i in found.unseen] == ["a/1", "b/1"]


# Classes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_a_class_list_may_start_at_0_or_1_where_all_numbers_say_so(base, kind, tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    assert {c for boxes in scene.boxes.values() for c, *_ in boxes} == {0, 1, 2}
    truth = scene.truth(kind)
    assert_perfect(truth, scene.write(scene.results(base)))
    assert paired(truth, scene.results(base), pair_classes=str(base)).classes_by == str(base)


@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_a_class_list_that_fits_from_0_and_from_1_is_refused_and_the_flag_named(kind, tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    results = [e for e in scene.results() if e["category_id"] != 3]  # 1 and 2 of three classes
    path, truth = scene.write(results), scene.truth(kind)
    with pytest.raises(ValueError, match="--pair-classes .* 0 or 1 says where") as error:
        paired(truth, path)
    assert "category_id 1, 2" in str(error.value) and "cell, dog, ant" in str(error.value)
    found = paired(truth, path, pair_classes="1")
    names = evaluation.Truth.of(truth).class_names
    assert {names[label] for label in found.label} == {"cell", "dog"}
    # A program's own results use the ids of the data set that it loaded.
    if kind == "coco":
        own = [e | {"category_id": 10 * e["category_id"]} for e in results]
        assert paired(truth, own).classes_by == "id"


def test_voc_has_no_class_list_so_another_order_than_its_own_is_refused(tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    truth, results = scene.truth("voc"), scene.results()
    for source in (results, scene.write(results)):
        with pytest.raises(ValueError, match="--class-names .* be the detector's class list") as e:
            paired(truth, source)
        assert "if category_id 1, 2, 3 were cell, dog, ant" in str(e.value)
        assert_perfect(truth, source, class_names=NAMES)
    alphabetical = [
        e | {"category_id": sorted(NAMES).index(NAMES[e["category_id"] - 1]) + 1} for e in results
    ]
    assert_perfect(truth, scene.write(alphabetical))


@pytest.mark.parametrize("kind", ["yolo", "voc", "coco"])
def test_names_of_classes_go_before_their_numbers(kind, tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    results = [
        e | {"category_name": NAMES[e["category_id"] - 1].upper(), "category_id": 77}
        for e in scene.results()
    ]
    assert_perfect(scene.truth(kind), results)
    by_text = [e | {"category_id": NAMES[e["category_id"] - 1]} for e in scene.results()]
    assert_perfect(scene.truth(kind), by_text)


# What is not paired -------------------------------------------------------------------------------


def test_a_pairing_that_leaves_out_most_detections_is_refused_unless_it_was_asked_for(tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    truth, results = scene.truth("yolo"), scene.results()
    stray = [e | {"image_id": "x", "file_name": "x.png"} for e in results]
    assert len(paired(truth, results + stray)) == 18  # half of them is enough
    with pytest.raises(ValueError, match="at least half of the detections must have") as error:
        paired(truth, results + stray + stray[:1])
    assert "18 of 37 paired, 19 of unknown images" in str(error.value)
    found = paired(truth, results + stray + stray[:1], pair_images="stem")
    assert found.unknown == {"images": 19, "categories": 0}
    with pytest.raises(ValueError, match="0 of 18 paired"):
        paired(truth, stray, pair_images="stem")


def test_the_report_says_what_was_paired_and_what_was_not(tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    results = scene.results()[:-3]  # nothing in img_a
    results.append(results[0] | {"image_id": 99, "file_name": "99.png"})
    results.append(results[0] | {"category_id": 9})
    report = boxloss.BoxReport.from_coco(
        scene.yolo(), scene.write(results), tmp_path / "images", loss=None
    )
    assert report.pairing == {
        "images_by": "file_name",
        "classes_by": "1",
        "detections": 15,
        "of_unknown_images": 1,
        "of_unknown_classes": 1,
        "images_without_detections": 1,
    }
    assert report.dropped == {"images": 0, "boxes": 0, "detections": 2}
    stderr = "\n".join(report.told)
    assert "1 detection of unknown images (first: image_id=99, file_name='99.png'" in stderr
    assert "1 detection of unknown classes" in stderr and "category_id=9" in stderr
    assert "1 of 6 images have no detection (first: img_a.png)" in stderr


def test_labels_of_images_that_the_results_leave_out_are_not_audited(tmp_path):
    scene = Scene(tmp_path, [f"p{number:03d}" for number in range(30)])
    results = scene.results()[:-9]
    audit = LabelAudit(scene.yolo(), scene.write(results), tmp_path / "images")
    assert audit.unseen == 3 and audit.pairing["images_without_detections"] == 3
    assert any("3 of 30 images have no detection (first: p027.png" in line for line in audit.told)
    assert {row.file_name for row in audit.rows} == {f"p{number:03d}.png" for number in range(27)}
    assert audit.to_coco()["boxloss_removed"] == []


def test_a_set_with_hardly_a_label_shows_what_it_lacks(tmp_path):
    scene = Scene(tmp_path, [f"p{number:03d}" for number in range(40)])
    results = scene.results()
    scene.boxes = {stem: [] for stem in scene.stems} | {"p000": scene.boxes["p000"][:1]}
    audit = LabelAudit(scene.yolo(), scene.write(results), tmp_path / "images")
    lacking = [row for row in audit.rows if row["suspected"] == "missing"]
    assert len(audit.places) == len(lacking) > 100


# Other files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["yolo", "voc", "coco"])
@pytest.mark.parametrize("stems", STEMS)
def test_a_folder_of_yolo_results_is_read(stems, kind, tmp_path):
    scene = Scene(tmp_path, STEMS[stems])
    for stem, boxes in scene.boxes.items():
        path = tmp_path / "run" / "labels" / f"{stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(
                f"{c} {(x + w / 2) / 100} {(y + h / 2) / 80} {w / 100} {h / 80} 0.75\n"
                for c, x, y, w, h in boxes
            )
        )
    classes = {"class_names": NAMES} if kind == "voc" else {}
    for folder in (tmp_path / "run", tmp_path / "run" / "labels"):
        assert_perfect(scene.truth(kind), folder, **classes)
    found = paired(scene.truth(kind), folder, **classes)
    assert set(found.score) == {0.75}


def test_classes_of_yolo_results_are_counted_from_0_also_where_the_first_was_never_found(tmp_path):
    scene = Scene(tmp_path, ["a"])
    scene.boxes["a"] = [(1, 10, 8, 40, 24), (2, 50, 40, 20, 24)]
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "a.txt").write_text("1 .3 .25 .4 .3 .5\n2 .6 .65 .2 .3 .5\n")
    assert_perfect(scene.truth("yolo"), tmp_path / "found")


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "0 .5 .5 .1 .1",
            "a.txt must have a confidence from 0 to 1 after the box (Ultralytics: save_conf=True)",
        ),
        ("0 .5 .5 .1", "line 1 of a.txt must be: class x_center y_center width height confidence"),
        ("0.5 .5 .5 .1 .1 .9", "line 1 of a.txt must be: class"),
        ("0 .5 nan .1 .1 .9", "line 1 of a.txt must be: class"),
    ],
)
def test_a_broken_line_of_yolo_results_is_named(line, message, tmp_path):
    (tmp_path / "a.txt").write_text(line)
    truth = {"images": [], "annotations": [], "categories": []}
    with pytest.raises(ValueError) as error:
        paired(truth, tmp_path)
    assert message in str(error.value) and str(error.value).startswith(f"{tmp_path}: ")


def test_shares_of_an_image_of_unknown_size_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1 .9")
    truth = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": []}
    truth["categories"] = [{"id": 3, "name": "cat"}]
    with pytest.raises(ValueError, match="be of images whose size is known.* no size of a.png"):
        paired(truth, tmp_path)


def test_a_coco_file_whose_annotations_have_scores_is_read(tmp_path):
    scene = Scene(tmp_path, STEMS["odd ones"])
    content = scene.truth("coco").to_coco()
    # Ids of its own, which the truth has not.
    for image in content["images"]:
        image["id"] += 100
    for entry in content["annotations"]:
        entry["image_id"] += 100
        entry["category_id"] += 5
        entry["score"] = 0.5
    for category in content["categories"]:
        category["id"] += 5
    assert_perfect(scene.truth("coco"), content)
    assert_perfect(scene.truth("voc"), scene.write(content))


# Commands -----------------------------------------------------------------------------------------


def command(name, scene, *more):
    out = scene.folder / name
    words = ["--images", scene.folder / "images", "--out", out, *more]
    return cli.main([name, *map(str, words)])


@pytest.mark.parametrize("name", ["evaluate", "explore", "audit"])
def test_every_command_says_what_it_left_out(name, tmp_path, capsys):
    scene = Scene(tmp_path, STEMS["odd ones"])
    results = scene.results()[:-3]
    results.append(results[0] | {"image_id": 99, "file_name": "99.png"})
    results.append(results[0] | {"category_id": 9})
    yaml, path = scene.yolo(), scene.write(results)
    (tmp_path / "labels" / "2.txt").open("a").write("7 .5 .5 .1 .1\n")
    worst = [] if name == "audit" else ["--worst", "2"]
    assert command(name, scene, "--truth", yaml, "--detections", path, *worst) == 0
    printed, stderr = capsys.readouterr()
    printed = json.loads(printed)
    assert printed["dropped"] == {"images": 0, "boxes": 1, "detections": 2}
    assert printed["pairing"]["images_by"] == "file_name"
    assert printed["pairing"]["images_without_detections"] == 1
    for words in (
        "2.txt: line 4 must have a known category. Received: category=7",
        "1 detection of unknown images (first: image_id=99",
        "1 detection of unknown classes (first:",
        "1 of 6 images have no detection (first: img_a.png)",
    ):
        assert words in stderr
    if name == "evaluate":
        assert 0.7 < printed["AP"] < 1 and (tmp_path / name / "boxes.csv").is_file()
        assert len(list((tmp_path / name / "explorer" / "crops").iterdir())) == 2
    if name == "audit":
        assert printed["images_not_audited"] == 1


def test_the_flag_that_an_error_names_decides(tmp_path, capsys):
    scene = Scene(tmp_path, STEMS["odd ones"])
    data = ["--truth", scene.voc(), "--detections", scene.write(scene.results())]
    assert command("evaluate", scene, *data) == 2
    stderr = capsys.readouterr().err
    assert "--class-names" in stderr and len(stderr.splitlines()) == 1
    (tmp_path / "classes.txt").write_text("\n".join(NAMES) + "\n")
    scene.yolo()
    for listed in (",".join(NAMES), tmp_path / "classes.txt", tmp_path / "data.yaml"):
        assert command("evaluate", scene, *data, "--class-names", listed) == 0
        printed, stderr = capsys.readouterr()
        assert json.loads(printed)["AP"] == pytest.approx(1) and "class list from 1" in stderr


def test_a_folder_of_results_is_explored(tmp_path, capsys):
    scene = Scene(tmp_path, ["a"])
    (tmp_path / "found").mkdir()
    for c, x, y, w, h in scene.boxes["a"]:
        with (tmp_path / "found" / "a.txt").open("a") as file:
            file.write(f"{c} {(x + w / 2) / 100} {(y + h / 2) / 80} {w / 100} {h / 80} .5\n")
    data = ["--truth", scene.yolo(), "--detections", tmp_path / "found"]
    assert command("explore", scene, *data) == 0
    assert json.loads(capsys.readouterr().out)["kinds"]["ok"] == 3


def test_evaluate_says_what_it_needs(capsys):
    assert cli.main(["evaluate", "--annotations", "a.json", "--detections", "b.json"]) == 2
    stderr = capsys.readouterr().err
    assert "or --annotations, --detections and --out. Received: run=None" in stderr


# Real results -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(bccd, tmp_path_factory):
    """(folder of images, {format: annotations}, results by COCO ids, those of Ultralytics)."""
    folder = tmp_path_factory.mktemp("bccd")
    truth = json.loads((bccd / "val.json").read_text())
    dataset = datasets.load(bccd / "val", bccd / "val.json")
    results = json.loads((bccd / "yolo11n_val.json").read_text())
    results = [entry for entry in results if entry["score"] > 0.05]
    stems = {image["id"]: image["file_name"].rsplit(".", 1)[0] for image in truth["images"]}
    rewritten = [
        entry
        | {"image_id": stems[entry["image_id"]], "file_name": f"{stems[entry['image_id']]}.jpg"}
        for entry in results
    ]
    (folder / "coco.json").write_text(json.dumps(results))
    (folder / "ultralytics.json").write_text(json.dumps(rewritten))
    labels = folder / "labels"
    labels.mkdir()
    for record in dataset.records:
        lines = []
        for box, label in zip(record.boxes.tolist(), record.labels, strict=True):
            x1, y1, x2, y2 = box
            number = dataset.category_ids[label] - 1
            values = ((x1 + x2) / 2 / 640, (y1 + y2) / 2 / 480, (x2 - x1) / 640, (y2 - y1) / 480)
            lines.append(" ".join(map(repr, (number, *values))))
        (labels / f"{record.path.stem}.txt").write_text("\n".join(lines))
    (labels / "data.yaml").write_text("names: [RBC, WBC, Platelets]\n")
    kinds = {"coco": bccd / "val.json", "voc": bccd / "voc" / "val", "yolo": labels}
    return bccd / "val", kinds, folder / "coco.json", folder / "ultralytics.json"


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_results_rewritten_as_ultralytics_has_them_give_the_same(kind, real):
    images, annotations, by_id, rewritten = real
    names = {"class_names": ["RBC", "WBC", "Platelets"]} if kind == "voc" else {}
    own = datasets.load(images, annotations["coco"])
    truth = datasets.load(images, annotations[kind])
    wanted = evaluation.coco_metrics(own, by_id)
    got = evaluation.coco_metrics(truth, paired(truth, rewritten, **names))
    assert wanted["AP50"] > 0.8
    # The YOLO labels lack the box of zero size, which AP counts as not found.
    assert got["AP"] == pytest.approx(wanted["AP"], abs=1e-6 if kind != "yolo" else 2e-3)

    def counts(labels, found, **names):
        report = boxloss.BoxReport.from_coco(labels, found, images, loss=None, **names)
        audit = LabelAudit(labels, found, images, **names)
        kinds = [row["suspected"] for row in audit.suspects()]
        return report.counts(), {kind: kinds.count(kind) for kind in set(kinds)}

    assert counts(truth, rewritten, **names) == counts(own, by_id)
    if kind == "voc":
        with pytest.raises(ValueError, match="--class-names .* RBC, WBC, Platelets"):
            paired(truth, rewritten)
