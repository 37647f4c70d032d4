"""BoxReport from arrays, COCO files and run folders; what it gives is checked by hand."""

import csv
import json

import numpy as np
import pytest

import boxloss
from boxloss import evaluation

SIDES = ("x1", "y1", "x2", "y2")
Y_TRUE = np.array(
    [
        [[10, 20, 50, 50], [60, 10, 90, 80], [-1, -1, -1, -1]],
        [[5, 5, 25, 45], [-1, -1, -1, -1], [-1, -1, -1, -1]],
    ],
    "float32",
)
OFF = np.array([[-2, 1, 2, 1], [20, 30, 20, 30], [7, 7, 7, 7]], "float32")
Y_PRED = Y_TRUE + np.stack([OFF, OFF[::-1]])
IMAGES = np.random.default_rng(0).integers(0, 255, (2, 100, 120, 3)).astype("uint8")
HOSTILE = "<img src=x onerror=alert(1)>\"'</script>&{{data}}.png"


def coco_files(folder, pictures=True):
    """A COCO folder of two images with hostile names, and results for it."""
    import cv2

    (folder / "photos").mkdir(parents=True)
    names = ["a b.png", "sub;rm -rf.png"]
    for name in names:
        if pictures:
            assert cv2.imwrite(str(folder / "photos" / name), IMAGES[0])
    truth = {
        "images": [
            {"id": i + 3, "file_name": name, "width": 120, "height": 100}
            for i, name in enumerate(names)
        ],
        "categories": [{"id": 4, "name": HOSTILE}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 11, "image_id": 3, "category_id": 4, "bbox": [10, 20, 40, 30]},
            {"id": 12, "image_id": 3, "category_id": 9, "bbox": [60, 10, 30, 70]},
            {"id": 13, "image_id": 4, "category_id": 9, "bbox": [5, 5, 20, 40]},
        ],
    }
    results = [
        {"image_id": 3, "category_id": 4, "bbox": [8, 21, 44, 30], "score": 0.9},
        {"image_id": 3, "category_id": 9, "bbox": [64, 10, 36, 60], "score": 0.8},
        {"image_id": 4, "category_id": 9, "bbox": [80, 60, 20, 20], "score": 0.7},
    ]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return truth, results


def page_data(page):
    text = page.read_text("utf-8")
    start = text.index('id="data">') + len('id="data">')
    return json.loads(text[start : text.index("</script>", start)])


# From arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["giou", "ciou", "smooth_l1"])
def test_numbers_equal_the_tensors_of_the_loss(loss):
    report = boxloss.BoxReport(None, Y_TRUE, Y_PRED, loss=loss)
    tensors = boxloss.get(loss).tensors(Y_TRUE, Y_PRED).numpy()
    real = [(0, 0), (0, 1), (1, 0)]
    assert len(report) == 3
    for row, (i, j) in zip(report.table(), real, strict=True):
        assert row["box_error"] == pytest.approx(tensors.box_errors[i, j], abs=1e-6)
        for name, term in tensors.terms.items():
            assert row[f"term_{name}"] == pytest.approx(term[i, j], abs=1e-6)
        errors = [row[f"error_{side}"] for side in SIDES]
        np.testing.assert_allclose(errors, tensors.residuals[i, j], atol=1e-5)


def test_masked_rows_and_padding_have_no_row_and_the_mask_comes_from_the_truth():
    mask = np.array([[True, False, True], [True, True, True]])
    report = boxloss.BoxReport(IMAGES, Y_TRUE, Y_PRED, mask)
    assert [row["annotation_id"] for row in report.rows] == [1, 4]
    assert [row["image_id"] for row in report.rows] == [0, 1]


def test_formats_are_converted_to_pixels():
    wh = np.concatenate([Y_TRUE[..., :2], Y_TRUE[..., 2:] - Y_TRUE[..., :2]], axis=-1)
    wh = np.where(Y_TRUE == -1, -1, wh)
    predicted = np.concatenate([Y_PRED[..., :2], Y_PRED[..., 2:] - Y_PRED[..., :2]], axis=-1)
    size = np.array([120, 100, 120, 100], "float32")
    plain = boxloss.BoxReport(IMAGES, Y_TRUE, Y_PRED, loss="giou").rows
    cases = [
        (boxloss.GIoULoss(bounding_box_format="xywh"), wh, predicted),
        (
            boxloss.GIoULoss(bounding_box_format="rel_xyxy"),
            np.where(Y_TRUE == -1, -1, Y_TRUE / size),
            Y_PRED / size,
        ),
    ]
    for loss, true, pred in cases:
        for row, wanted in zip(
            boxloss.BoxReport(IMAGES, true, pred, loss=loss).rows, plain, strict=True
        ):
            for name in ("truth_x1", "truth_y2", "prediction_x2", "error_x1", "error_y2", "iou"):
                assert row[name] == pytest.approx(wanted[name], abs=1e-3)


def test_kinds_of_paired_boxes_follow_overlap_and_class():
    true = np.tile(np.array([0, 0, 100, 50], "float32"), (1, 5, 1))
    pred = true + np.array([0, 60, 95, 0, 60], "float32")[None, :, None] * [1, 0, 1, 0]
    found = np.array([[0, 0, 0, 1, 1]])
    report = boxloss.BoxReport(
        None,
        true,
        pred.astype("float32"),
        labels=np.zeros((1, 5), int),
        predicted_labels=found,
        class_names=["cat", "dog"],
        scores=found / 2,
    )
    assert [row["kind"] for row in report.rows] == ["ok", "loc", "miss", "cls", "both"]
    assert [row["prediction_class"] for row in report.rows] == ["cat"] * 3 + ["dog"] * 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"images": IMAGES[:1]},
            "`images` must have one entry for each of the 2 rows of boxes. Received: 1 entries",
        ),
        (
            {"scores": np.zeros((2, 2))},
            "`scores` must have the shape (B, N) of the boxes. "
            "Received: scores.shape=(2, 2) for boxes (2, 3)",
        ),
        (
            {"loss": boxloss.SoftmaxLoss},
            "`loss` must be a name or a loss of kind 'box'. Received: loss=",
        ),
        (
            {"loss": boxloss.IoULoss(bounding_box_format="rel_xyxy")},
            "`images` must be given for boxes in relative units, or `image_shape` to the loss. "
            "Received: images=None, bounding_box_format='rel_xyxy'",
        ),
        (
            {"iou_threshold": 50},
            "`iou_threshold` must be a number above 0 and at most 1. Received: iou_threshold=50",
        ),
        (
            {"labels": [[0, 1, -1], [2, -1, -1]], "class_names": ["cat", "dog"]},
            "`labels` must be whole numbers from 0 to 1, positions in `class_names`. "
            "Received: labels=2",
        ),
        (
            {"predicted_labels": [[-1, 0, 0], [0, 0, 0]], "class_names": ["cat", "dog"]},
            "`predicted_labels` must be whole numbers from 0 to 1, positions in `class_names`. "
            "Received: predicted_labels=-1",
        ),
    ],
)
def test_wrong_arrays_are_named(arguments, message):
    arguments = {"images": None, **arguments}
    with pytest.raises(ValueError) as error:
        boxloss.BoxReport(arguments.pop("images"), Y_TRUE, Y_PRED, **arguments)
    assert str(error.value).startswith(message)


# From COCO ----------------------------------------------------------------------------------------


def test_report_of_coco_files_equals_the_error_table(tmp_path):
    truth, results = coco_files(tmp_path)
    report = boxloss.BoxReport.from_coco(
        tmp_path / "truth.json",
        tmp_path / "results.json",
        tmp_path / "photos",
        score_threshold=0.5,
    )
    wanted = evaluation.error_table(truth, results, score_threshold=0.5)
    by_id = {row["annotation_id"]: row for row in wanted}
    assert len(report) == len(wanted) == 4
    for row in report.table():
        for name in ("kind", "iou", "box_error", "error_x1", "term_center", "class"):
            assert row[name] == pytest.approx(by_id[row["annotation_id"]][name], abs=1e-5)
    assert report.counts() == {
        **dict.fromkeys(evaluation.KINDS, 0),
        **{"ok": 2, "bkg": 1, "miss": 1},
    }


def test_an_image_folder_that_is_not_there_is_named(tmp_path):
    truth, results = coco_files(tmp_path)
    with pytest.raises(ValueError, match="`images` must be an existing folder. Received: images="):
        boxloss.BoxReport.from_coco(truth, results, tmp_path / "fotos", loss=None)


def test_to_coco_keeps_the_annotations_and_adds_the_numbers(tmp_path):
    truth, results = coco_files(tmp_path, pictures=False)
    report = boxloss.BoxReport.from_coco(truth, results, loss="l1", score_threshold=0.5)
    content = report.to_coco(tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == content
    given = {a["id"]: a for a in truth["annotations"]}
    assert {a["id"] for a in content["annotations"]} == set(given)
    for annotation in content["annotations"]:
        source = given[annotation["id"]]
        assert annotation["bbox"] == source["bbox"]
        assert annotation["category_id"] == source["category_id"]
    first = content["annotations"][0]
    assert first["boxloss_kind"] == "ok" and first["boxloss_box_error"] == 6
    assert first["boxloss_error_x1"] == -2 and first["boxloss_term_y2"] == 1
    assert [p["boxloss_kind"] for p in content["predictions"]] == ["bkg"]


# Files --------------------------------------------------------------------------------------------


def test_a_run_folder_gives_back_the_rows_that_were_written(tmp_path):
    truth, results = coco_files(tmp_path)
    rows = evaluation.error_table(truth, results, loss="giou")
    evaluation.write_boxes_csv(rows, tmp_path / "boxes.csv")
    config = {"loss": "giou", "val_images": str(tmp_path / "photos")}
    config |= {"class_names": ["dog", HOSTILE], "category_ids": [9, 4]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    report = boxloss.BoxReport.from_run(tmp_path)
    assert len(report) == len(rows) and report.loss == "giou"
    assert report.class_names == ["dog", HOSTILE] and report.category_ids == [9, 4]
    assert [(image["width"], image["height"]) for image in report.images] == [(120, 100)] * 2
    for row, wanted in zip(report.rows, rows, strict=True):
        for name, value in wanted.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, abs=1e-4)
            else:
                assert row[name] == value, name
    np.testing.assert_array_equal(report.picture(0), IMAGES[0][..., ::-1])


def test_a_run_folder_whose_names_lead_outside_opens_nothing(tmp_path):
    truth, results = coco_files(tmp_path)
    truth["images"][0]["file_name"] = "../truth.json"
    truth["images"][1]["file_name"] = str(tmp_path / "photos" / "a b.png")
    evaluation.write_boxes_csv(
        evaluation.error_table(truth, results, loss=None), tmp_path / "boxes.csv"
    )
    report = boxloss.BoxReport.from_run(tmp_path, tmp_path / "photos")
    assert report.picture(0) is None and report.picture(1) is None
    page = report.to_html(tmp_path / "page")
    assert not any(page_data(page)["rows"]["picture"])


def test_broken_boxes_csv_is_named(tmp_path):
    (tmp_path / "boxes.csv").write_text("row,kind\ntruth,ok\n")
    with pytest.raises(ValueError, match="boxes.csv: file must have the columns of an error table"):
        boxloss.BoxReport.from_run(tmp_path)


def test_the_page_holds_the_numbers_and_no_markup_of_a_name(tmp_path):
    truth, results = coco_files(tmp_path)
    report = boxloss.BoxReport.from_coco(
        tmp_path / "truth.json", results, tmp_path / "photos", title=HOSTILE, score_threshold=0.5
    )
    page = report.to_html(tmp_path / "page")
    text = page.read_text("utf-8")
    assert "<img" not in text and "onerror=alert(1)>" not in text
    assert text.count("</script>") == 2
    data = page_data(page)
    assert data["title"] == HOSTILE and HOSTILE in data["classes"]
    np.testing.assert_allclose(
        [np.nan if e is None else e for e in data["rows"]["error"][: len(report)]],
        [np.nan if r["box_error"] is None else r["box_error"] for r in report.rows],
        rtol=1e-6,
    )
    assert sorted(path.name for path in (page.parent / "crops").iterdir()) == [
        f"{i}.jpg" for i in range(4)
    ]
    assert sorted(path.name for path in (page.parent / "images").iterdir()) == ["0.jpg", "1.jpg"]


def test_the_policy_forbids_all_but_the_page_s_own_script_and_style(tmp_path):
    import base64
    import hashlib
    import html
    import re

    page = boxloss.BoxReport(IMAGES, Y_TRUE, Y_PRED).to_html(tmp_path)
    text = page.read_bytes().decode()
    policy = html.unescape(re.search(r'Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for tag in ("script", "style"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(
        r"(https?:)?//[a-z]+\.[a-z]", re.sub(r"http://www\.w3\.org/2000/svg", "", text)
    )
    assert "innerHTML" not in text and "eval(" not in text and " style=" not in text


def test_pictures_of_an_earlier_page_go_and_files_of_others_stay(tmp_path):
    boxloss.BoxReport(IMAGES, Y_TRUE, Y_PRED).to_html(tmp_path)
    (tmp_path / "crops" / "mine.jpg").write_text("x")
    boxloss.BoxReport(IMAGES[:1], Y_TRUE[:1], Y_PRED[:1]).to_html(tmp_path)
    assert sorted(p.name for p in (tmp_path / "crops").iterdir()) == ["0.jpg", "1.jpg", "mine.jpg"]


def test_pictures_of_somebody_else_are_not_touched(tmp_path):
    coco_files(tmp_path, pictures=False)
    photos = tmp_path / "images"
    photos.mkdir()
    for name in ("0.jpg", "000005.jpg"):
        (photos / name).write_text("a photo")
    report = boxloss.BoxReport.from_coco(
        tmp_path / "truth.json", tmp_path / "results.json", loss=None
    )
    with pytest.raises(ValueError, match="a file of another origin.* with 'images/0.jpg'"):
        report.to_html(tmp_path)
    assert {p.name: p.read_text() for p in photos.iterdir()} == {
        "0.jpg": "a photo",
        "000005.jpg": "a photo",
    }


def test_a_page_whose_making_was_cut_short_is_made_anew(tmp_path, monkeypatch):
    from boxloss.report.page import write

    def killed(*arguments):
        raise KeyboardInterrupt

    report = boxloss.BoxReport(IMAGES, Y_TRUE, Y_PRED)
    with monkeypatch.context() as patch:
        patch.setattr(write, "page_content", killed)
        with pytest.raises(KeyboardInterrupt):
            report.to_html(tmp_path)
    assert list((tmp_path / "crops").iterdir())
    assert len(page_data(report.to_html(tmp_path))["rows"]["kind"]) == len(report)


def test_only_the_worst_rows_get_pictures_where_asked(tmp_path):
    report = boxloss.BoxReport(IMAGES, Y_TRUE, Y_PRED)
    worst = int(np.argmax([row["box_error"] for row in report.rows]))
    page = report.to_html(tmp_path, worst=1)
    assert [p.name for p in (tmp_path / "crops").iterdir()] == [f"{worst}.jpg"]
    assert sum(page_data(page)["rows"]["picture"]) == 1


def test_the_crop_shows_truth_and_prediction_with_context(tmp_path):
    import cv2

    image = np.zeros((300, 400, 3), "uint8")
    image[100:150, 200:260] = (250, 20, 20)  # red in RGB
    page = boxloss.BoxReport(
        [image], np.array([[[200.0, 100, 260, 150]]]), np.array([[[190.0, 100, 260, 150]]])
    ).to_html(tmp_path)
    x, y, w, h = page_data(page)["rows"]["crop"]
    assert (x, y, x + w, y + h) == (162, 72, 288, 178)  # 0.4 * 70 = 28 around (190 100 260 150)
    crop = cv2.imread(str(tmp_path / "crops" / "0.jpg"))
    assert crop.shape[:2] == (h, w)
    b, g, r = crop[125 - y, 230 - x].astype(int)
    assert r > 200 and g < 70 and b < 70


def test_the_crop_of_a_smaller_copy_shows_the_same_place(tmp_path):
    import cv2

    image = np.zeros((150, 200, 3), "uint8")
    image[100:125, 150:180] = 255  # in the stated size 300..360, 200..250
    assert cv2.imwrite(str(tmp_path / "small.png"), image)
    truth = {
        "images": [{"id": 1, "file_name": "small.png", "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [300, 200, 60, 50]}],
    }
    report = boxloss.BoxReport.from_coco(truth, [], tmp_path, loss=None)
    page = report.to_html(tmp_path / "page")
    assert page_data(page)["rows"]["crop"] == [276, 176, 108, 98]
    crop = cv2.imread(str(page.parent / "crops" / "0.jpg"))[..., 0] > 128
    assert crop.shape == (49, 54)
    np.testing.assert_array_equal(np.argwhere(crop).min(axis=0), (12, 12))
    np.testing.assert_array_equal(np.argwhere(crop).max(axis=0), (36, 41))


def test_compared_rows_are_joined_by_annotation(tmp_path):
    truth, results = coco_files(tmp_path, pictures=False)
    now = boxloss.BoxReport.from_coco(truth, results, score_threshold=0.5)
    before = boxloss.BoxReport.from_coco(truth, results[1:2], title="old")
    data = page_data(now.to_html(tmp_path / "page", compare=before))["compare"]
    rows, count = data["rows"], len(before)
    kinds = [evaluation.KINDS[kind] for kind in rows["kind"][:count]]
    assert kinds == ["miss", "ok", "miss"] and data["title"] == "old"
    assert rows["annotation"][:count] == [row["annotation_id"] for row in before.rows]
    assert rows["error"][1] == pytest.approx(before.rows[1]["box_error"], rel=1e-6)


def test_numbers_that_a_caller_adds_become_columns(tmp_path):
    report = boxloss.BoxReport(None, Y_TRUE, Y_PRED)
    for i, row in enumerate(report.rows):
        row["suspicion"] = i / 2
        row["note"] = "text is no column"
    data = page_data(report.to_html(tmp_path, sort="extra:suspicion"))
    assert data["extra"] == {"suspicion": [0, 0.5, 1]} and data["sort"] == "extra:suspicion"


def test_to_csv_writes_the_table(tmp_path):
    report = boxloss.BoxReport(None, Y_TRUE, Y_PRED, loss="l1")
    report.to_csv(tmp_path / "boxes.csv")
    with open(tmp_path / "boxes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["box_error"]) for row in rows] == [6.0, 100.0, 28.0]


# The command --------------------------------------------------------------------------------------


def test_explore_makes_the_page_from_a_peer_s_output_alone(tmp_path, capsys):
    from boxloss.cli import main

    coco_files(tmp_path)
    paths = {name: str(tmp_path / name) for name in ("truth.json", "results.json", "photos")}
    status = main(
        ["explore", "--truth", paths["truth.json"], "--detections", paths["results.json"]]
        + ["--images", paths["photos"], "--out", str(tmp_path / "page"), "--loss", "giou"]
        + ["--score", "0.5"]
    )
    printed = json.loads(capsys.readouterr().out)
    assert status == 0 and printed["rows"] == 4 and printed["kinds"]["ok"] == 2
    data = page_data(tmp_path / "page" / "index.html")
    assert data["loss"] == "giou" and data["rows"]["picture"] == [1, 1, 1, 1, 0, 0]
    assert (tmp_path / "page" / "boxes.csv").is_file()


def test_what_is_left_out_is_counted_and_listed(tmp_path, capsys):
    from boxloss.cli import main

    truth, results = coco_files(tmp_path)
    (tmp_path / "photos" / "sub;rm -rf.png").unlink()
    truth["annotations"].append({**truth["annotations"][0], "id": 14, "bbox": [5, 5, 0, 9]})
    results.append({**results[0], "image_id": 77})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    words = ["explore", "--truth", tmp_path / "truth.json", "--images", tmp_path / "photos"]
    words += ["--detections", tmp_path / "results.json", "--out", tmp_path / "page"]
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr()
    # The image that is gone takes a box and a detection with it.
    wanted = {"images": 1, "boxes": 2, "detections": 2}
    assert json.loads(printed.out)["dropped"] == wanted
    assert "dropped: 1 image, 2 boxes, 2 detections" in printed.err
    assert "sub;rm -rf.png" in printed.err and "annotation 14" in printed.err
    assert page_data(tmp_path / "page" / "index.html")["dropped"] == wanted


def test_suspected_labels_are_on_every_row_of_their_box(tmp_path):
    truth, results = coco_files(tmp_path, pictures=False)
    report = boxloss.BoxReport.from_coco(truth, results, loss=None, score_threshold=0.5)
    suspect = next(row for row in report.rows if row["annotation_id"] == 12)
    suspect = evaluation.Row.of(
        {**suspect, "suspicion": 3.5, "suspected": "edge", "correction": "move"}
        | {"corrected_class": "dog", "corrected_category_id": 9}
        | {f"corrected_{side}": 1.5 for side in ("x1", "y1", "x2", "y2")}
    )
    unknown = evaluation.Row.of({**suspect, "annotation_id": 999})
    assert report.add_labels([suspect, unknown]) == 1
    data = page_data(report.to_html(tmp_path / "page"))
    rows, said = data["rows"], data["proposal"]["suspected"]
    about = [
        own and number == 12 for own, number in zip(rows["own"], rows["annotation"], strict=True)
    ]
    assert sum(about) > 1  # there are rows of other thresholds too
    assert [name == "edge" for name in said] == about
    assert data["extra"]["suspicion"][about.index(True)] == 3.5


def test_explore_adds_what_a_run_tells_of_its_boxes(tmp_path, capsys):
    from boxloss.cli import main

    coco_files(tmp_path, pictures=False)
    head = ",".join(evaluation.HISTORY_COLUMNS)
    (tmp_path / "box_history.csv").write_text(
        f"{head}\n3,a b.png,12,dog,9,0.5,0.25,0.5,0.5,1,0,2\n"
    )
    words = ["explore", "--truth", tmp_path / "truth.json", "--out", tmp_path / "page"]
    words += ["--detections", tmp_path / "results.json", "--history", tmp_path]
    assert main([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr().out)["with_history"] == 1
    content = page_data(tmp_path / "page" / "index.html")
    place = content["rows"]["annotation"].index(12)
    column = content["extra"]["history_mean_error"]
    # Every row of that box has it, and no other.
    assert column[place] == 0.5
    assert [c == 0.5 for c in column] == [a == 12 for a in content["rows"]["annotation"]]


@pytest.mark.parametrize("arguments", [[], ["--truth", "a.json"], ["run", "--truth", "a.json"]])
def test_explore_says_what_it_needs(arguments, capsys):
    from boxloss.cli import main

    if arguments[:1] == ["run"]:
        arguments = ["run", "--truth", "a.json", "--detections", "b.json", "--out", "c"]
    assert main(["explore", *arguments]) == 2
    assert "must get a run folder, or --truth, --detections and --out" in capsys.readouterr().err
