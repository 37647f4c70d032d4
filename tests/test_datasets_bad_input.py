"""Pictures that cannot be used, sets without images, wrong arguments: each is one line."""

import os

import cv2
import numpy as np
import pytest
from broken_folders import GOOD, PICTURE, annotation, content, expect, image, write_coco

from boxloss import datasets


def corrupt(name):
    jpeg = cv2.imencode(".jpg", np.full((30, 40, 3), 90, "uint8"))[1].tobytes()
    turned = (
        b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    )
    return {
        "empty": b"",
        "cut": jpeg[: len(jpeg) // 2],
        "text": b"no picture, but called one",
        "huge": PICTURE[:16] + (10_000).to_bytes(4, "big") * 2 + PICTURE[24:],
        "turned": jpeg[:2] + turned + jpeg[2:],
        "small": cv2.imencode(".png", np.zeros((3, 4), "uint8"))[1].tobytes(),
    }[name]


@pytest.mark.parametrize(
    "kind, rest",
    [
        ("empty", "hold data. Received: 0 bytes"),
        ("cut", f"be complete. Received: a JPEG of {len(corrupt('cut'))} bytes without its end"),
        (
            "text",
            "be a JPEG, PNG, BMP, WebP or TIFF file. Received: first bytes b'no picture, '",
        ),
        ("huge", "have at most 64000000 pixels. Received: 10000 x 10000"),
        (
            "turned",
            "have the size of its annotation. Received: 30 x 40, annotation 40 x 30 "
            "(upright by EXIF orientation 6)",
        ),
        ("small", "have the size of its annotation. Received: 4 x 3, annotation 40 x 30"),
    ],
)
def test_a_picture_that_cannot_be_used_is_dropped_with_its_boxes(place, kind, rest):
    picture = place / "images" / "b.jpg"
    picture.write_bytes(corrupt(kind))
    images = [*content()["images"], image(file_name="b.jpg", width=40, height=30)]
    path = write_coco(place, content(images=images, annotations=[GOOD, annotation(image_id=2)]))
    expect(place, path, [f"{picture}: image must {rest}"], dropped=(1, 1))


def test_a_pipe_is_no_picture(place):
    os.mkfifo(place / "images" / "b.png")
    path = write_coco(place, content(images=[*content()["images"], image()]))
    line = f"{path}: image 2 must name an existing image file. Received: file_name='b.png'"
    expect(place, path, [line], dropped=(1, 0))


def test_an_empty_data_set_stops_with_one_line(place):
    path = write_coco(place, content(images=[], annotations=[]))
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", path)
    assert str(error.value) == (
        f"{place / 'images'}: data set must hold at least one usable image. "
        "Received: 0 images, 0 problems"
    )
    path = write_coco(place, content(images=[image()], annotations=[]))
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", path)
    assert str(error.value) == (
        f"{place / 'images'}: data set must hold at least one usable image. Received: 0 images, 1 "
        f"problems; the first: {path}: image 2 must name an existing image file. "
        "Received: file_name='b.png'"
    )


def test_images_without_boxes_are_kept(place):
    path = write_coco(place, content(annotations=[]))
    read = datasets.load(place / "images", path, strict=True)
    assert len(read) == 1 and len(read.records[0]) == 0
    assert read.records[0].boxes.shape == (0, 4)
    assert read.summary() == "1 image (1 without boxes), 0 boxes, 1 class: 'cell' 0"


def test_ten_thousand_boxes_in_one_image_are_read(place):
    rng = np.random.default_rng(0)
    many = [
        annotation(id=i + 1, bbox=[*rng.uniform(0, 20, 2), *rng.uniform(1, 10, 2)])
        for i in range(10_000)
    ]
    read = datasets.load(
        place / "images", write_coco(place, content(annotations=many)), strict=True
    )
    assert len(read.records[0]) == 10_000


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"images": "none"},
            "`images` must be an existing folder. Received: images='none'",
        ),
        (
            {"annotations": "none.json"},
            "`annotations` must be an existing file or folder. Received: annotations='none.json'",
        ),
        (
            {"format": "pascal"},
            "`format` must be one of 'coco', 'voc', 'yolo'. Received: format='pascal'",
        ),
        (
            {},
            "`annotations` must be given where neither the image folder nor its parent holds any "
            "(annotations.json, XML files, data.yaml). Received: images='images'",
        ),
        (
            {"annotations": "images"},
            "`annotations` must be a COCO .json file, a folder of VOC .xml files, a YOLO data.yaml "
            "or a folder of YOLO .txt files (`format` says which where the names do not). "
            "Received: annotations='images'",
        ),
        (
            {"annotations": "images", "format": "coco"},
            "`annotations` must be a COCO file or a folder with one. "
            "Received: annotations='images' with 0 .json files",
        ),
    ],
)
def test_wrong_arguments_of_load_are_named(place, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    with pytest.raises(ValueError) as error:
        datasets.load(**{"images": "images", **arguments})
    assert str(error.value) == message
