"""The criterion of the detector: its parts by hand, from made outputs."""

import keras
import numpy as np
import pytest
from head_outputs import POINTS, STRIDES, head_and_truth

import boxloss
from boxloss.tensors import ops
from boxloss.training import Criterion, TrainingModel, box_loss
from boxloss.training.criterion import soft_cross_entropy


def numpy_costs(criterion, outputs, truth):
    costs = criterion(truth, outputs, POINTS, STRIDES)
    return keras.tree.map_structure(ops.convert_to_numpy, costs)


def test_image_losses_are_the_weighted_location_errors():
    outputs, truth = head_and_truth(bins=16)
    criterion = Criterion(
        box_loss("ciou"), bins=16, box_weight=2.0, class_weight=0.7, bin_weight=0.3
    )
    costs = numpy_costs(criterion, outputs, truth)
    quality = costs.assignment.quality
    for i in range(2):
        total = max(quality[i].sum(), 1.0)
        box = 2.0 * (quality[i] * costs.errors["box"][i]).sum() / total
        kind = 0.7 * costs.errors["class"][i].sum() / total
        bins = 0.3 * (quality[i] * costs.errors["bins"][i]).sum() / total
        found = [costs.parts[name][i] for name in ("box", "class", "bins")]
        np.testing.assert_allclose(found, [box, kind, bins], rtol=1e-5)
        np.testing.assert_allclose(costs.image_losses[i], box + kind + bins, rtol=1e-5)
    assert (costs.errors["box"][costs.assignment.index < 0] == 0).all()
    found = costs.assignment.index >= 0
    expected = boxloss.functional.ciou_loss(costs.assignment.boxes[found], outputs["boxes"][found])
    np.testing.assert_allclose(costs.errors["box"][found], expected, rtol=1e-4, atol=1e-6)


def test_coordinate_losses_are_measured_in_strides():
    outputs, truth = head_and_truth()
    costs = numpy_costs(Criterion(box_loss("l1")), outputs, truth)
    found = costs.assignment.index >= 0
    difference = np.abs(costs.assignment.boxes - outputs["boxes"]).sum(axis=-1) / STRIDES
    np.testing.assert_allclose(costs.errors["box"][found], difference[found], rtol=1e-4)


def test_overlap_losses_are_measured_in_pixels():
    outputs, truth = head_and_truth()
    for arguments, shape in ((None, (64, 64)), ({"image_shape": [90, 30]}, (90, 30))):
        costs = numpy_costs(Criterion(box_loss("mpdiou", arguments, 64)), outputs, truth)
        found = costs.assignment.index >= 0
        pairs = costs.assignment.boxes[found], outputs["boxes"][found]
        expected = boxloss.functional.mpdiou_loss(*pairs, image_shape=shape)
        np.testing.assert_allclose(costs.errors["box"][found], expected, rtol=1e-4)


def test_an_ignored_box_costs_nothing_where_it_lies():
    outputs, truth = head_and_truth()
    plain = numpy_costs(Criterion(box_loss("giou")), outputs, truth)
    truth["ignore"][1, 0] = True
    ignoring = numpy_costs(Criterion(box_loss("giou")), outputs, truth)
    x, y = POINTS.T
    within = (x > 10) & (x < 34) & (y > 10) & (y < 50)
    assert (plain.errors["class"][1][within] > 0).all()
    assert (ignoring.errors["class"][1][within] == 0).all()
    assert (ignoring.errors["class"][1][~within] > 0).all()
    assert (ignoring.assignment.index[1] == -1).all()


def test_soft_cross_entropy_by_hand():
    y, logit = np.array([0.3, 1.0, 0.0], "float32"), np.array([0.7, -2.0, 90.0], "float32")
    p = 1 / (1 + np.exp(-logit.astype("float64")))
    expected = -(y[:2] * np.log(p[:2]) + (1 - y[:2]) * np.log1p(-p[:2]))
    found = ops.convert_to_numpy(soft_cross_entropy(y, logit))
    np.testing.assert_allclose(found, [*expected, 90.0], rtol=1e-6)


def test_bins_are_learned_at_the_distances_of_the_assigned_box():
    outputs, truth = head_and_truth(bins=16)
    costs = numpy_costs(Criterion(box_loss("ciou"), bins=16), outputs, truth)
    image, location = (int(x[0]) for x in np.nonzero(costs.assignment.index >= 0))
    x1, y1, x2, y2 = costs.assignment.boxes[image, location]
    x, y = POINTS[location]
    expected = 0.0
    for side, pixels in enumerate((x - x1, y - y1, x2 - x, y2 - y)):
        distance = min(max(pixels / STRIDES[location], 0.0), 14.99)
        z = outputs["distribution"][image, location, 16 * side : 16 * side + 16].astype("float64")
        log_p, low = z - np.log(np.exp(z).sum()), int(distance)
        expected -= (low + 1 - distance) * log_p[low] + (distance - low) * log_p[low + 1]
    np.testing.assert_allclose(costs.errors["bins"][image, location], expected / 4, rtol=1e-4)


@pytest.mark.parametrize("argument", ["normalizer", "box_reduction", "mining", "reduction"])
def test_what_the_detector_decides_cannot_be_an_argument_of_the_loss(argument):
    with pytest.raises(ValueError) as error:
        box_loss("ciou", {argument: "none"})
    expected = f"`loss_args` must leave `{argument}` to the detector. Received: {argument}='none'"
    assert str(error.value) == expected


def test_arguments_that_a_loss_does_not_have_are_named():
    with pytest.raises(ValueError) as error:
        box_loss("siou", {"tetha": 2.0})
    assert str(error.value) == (
        "`loss_args` must be one of 'dtype', 'image_shape', 'name', 'theta'. Did you mean 'theta'? "
        "Received: loss_args='tetha'"
    )


def test_focus_trains_on_the_hardest_images_only():
    outputs, truth = head_and_truth()
    detector = boxloss.detector.Detector(["a", "b", "c"], image_size=64)
    plain = TrainingModel(detector, Criterion(box_loss("ciou")), 2)
    focused = TrainingModel(
        detector, Criterion(box_loss("ciou")), 2, boxloss.HardestImages(fraction=0.5)
    )
    images = np.zeros((2, 64, 64, 3), "float32")
    truth = {key: ops.convert_to_tensor(value) for key, value in truth.items()}
    outputs = {key: ops.convert_to_tensor(value) for key, value in outputs.items()}
    losses = ops.convert_to_numpy(plain.costs(images, truth, outputs).image_losses)
    assert losses[0] != pytest.approx(losses[1])
    found = [float(model.compute_loss(images, truth, outputs)) for model in (plain, focused)]
    np.testing.assert_allclose(found, [losses.mean(), losses.max()], rtol=1e-5)
    # Row i of the table belongs to image i of the data set, not of the batch.
    table = plain.image_losses.table()
    np.testing.assert_allclose(table.sum(axis=1), losses[::-1], rtol=1e-5)
