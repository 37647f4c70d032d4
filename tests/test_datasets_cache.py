"""Images read before are the same from memory, from files and read again; reduced JPEGs."""

import cv2
import numpy as np
import pytest

from boxloss import datasets
from boxloss.datasets import synthetic
from boxloss.datasets.cache import Cache
from boxloss.datasets.examples import Examples
from boxloss.datasets.images import fit, read_fitted, read_image

IMAGE = np.arange(4 * 5 * 3, dtype="uint8").reshape(4, 5, 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.write(tmp_path_factory.mktemp("cached"), 6, seed=2, image_size=70)


def epoch_of(examples):
    return np.concatenate([examples.batch(examples.positions(i))[0] for i in range(len(examples))])


@pytest.mark.parametrize("kind", ["ram", "disk", "none"])
def test_every_cache_gives_the_same_batches_and_reads_no_image_twice(made, kind, monkeypatch):
    from boxloss.datasets import examples as module

    read = []
    monkeypatch.setattr(
        module, "read_fitted", lambda path, size: read.append(path) or read_fitted(path, size)
    )
    expected = epoch_of(Examples(made, 4, 64))
    read.clear()
    examples = Examples(made, 4, 64, cache=Cache(kind))
    for _ in range(2):
        np.testing.assert_array_equal(epoch_of(examples), expected)
    assert len(read) == (12 if kind == "none" else 6)


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_a_full_cache_takes_no_more_and_keeps_what_it_has(kind):
    cache = Cache(kind, limit=2 * IMAGE.nbytes + 10)
    for position in range(4):
        cache.put(position, IMAGE + position)
    for position in (0, 1):
        np.testing.assert_array_equal(cache.get(position), IMAGE + position)
    assert cache.get(2) is None and cache.get(3) is None


def test_workers_share_the_files_and_divide_the_memory():
    disk, ram = Cache("disk", limit=400), Cache("ram", limit=400)
    disk.put(7, IMAGE)
    np.testing.assert_array_equal(disk.divided(2).get(7), IMAGE)
    first = ram.divided(2)
    first.put(0, np.zeros(200, "uint8"))
    first.put(1, np.zeros(1, "uint8"))
    assert first.get(0) is not None and first.get(1) is None


def test_the_folder_of_a_cache_goes_with_it():
    cache = Cache("disk")
    cache.put(0, IMAGE)
    folder = cache.folder
    assert [path.name for path in folder.iterdir()] == ["0.npy"]
    del cache
    assert not folder.exists()


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="`cache` must be one of"):
        Cache("swap")


@pytest.mark.parametrize("side", [64, 48, 40, 13])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_is_where_it_is_however_far_it_is_reduced(tmp_path, side, suffix):
    # Odd sides: a half of 321 is 161 pixels, of which the last is only half picture.
    smooth = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype="uint8")
    picture = cv2.resize(smooth, (321, 203), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    found, width, height = read_fitted(path, side)
    expected = fit(read_image(path), side)
    assert (width, height) == (321, 203) and found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() < 2 and difference.max() < 16
    if suffix == ".png":
        assert difference.max() == 0


def test_a_jpeg_is_decoded_at_the_size_that_is_needed(tmp_path, monkeypatch):
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.zeros((300, 400, 3), "uint8"))
    sizes = []
    decode = cv2.imdecode

    def seen(*arguments):
        image = decode(*arguments)
        sizes.append(image.shape[:2])
        return image

    monkeypatch.setattr(cv2, "imdecode", seen)
    for side in (400, 201, 200, 100, 50, 20):
        read_fitted(path, side)
    assert sizes == [(300, 400), (300, 400), (150, 200), (75, 100), (38, 50), (38, 50)]


def test_orientation_and_changed_files_are_seen_in_reduced_jpegs_too(tmp_path):
    path = tmp_path / "turned.jpg"
    data = cv2.imencode(".jpg", np.zeros((300, 401, 3), "uint8"))[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])
    found, width, height = read_fitted(path, 100)
    assert (width, height) == (300, 401) and found.shape == (100, 75, 3)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="turned.jpg: image must be complete"):
        datasets.images.read_fitted(path, 100)
