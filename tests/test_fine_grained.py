"""FGL, DDF and MAL: values, gradients, bins, padding, and the balance of matched boxes."""

import numpy as np
import pytest
from gradients import as_numpy, as_tensor, value_and_gradient
from oracles import fine_grained as oracle

import boxloss
from boxloss import coders, functional
from boxloss.functional import fine_grained
from boxloss.tensors import ops

EXACT = ops.dtype_name(ops.convert_to_tensor(np.float64([1.0]))) == "float64"
TOLERANCE = 2e-9 if EXACT else 1e-5


def close(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


def differences(function, x, at, step=1e-5):
    """The central differences of `function(x, at)` by `x`, what is `at` held."""
    return np.array(
        [
            (function(x + move, at) - function(x - move, at)) / (2 * step)
            for move in step * np.eye(len(x))
        ]
    )


# The checked numbers: computed outside boxloss, as those of checked_rows.py -----------------------

# bins, reg_scale, k, m, sides; per side, sum; left bins, gradient of two bins of left and of 0
FGL_ROWS = {
    "F1": (
        *(33, 4.0, 3, (0.25, -0.4, 0.1, 0.7), (0.3, -0.5, 0.05, 0.9)),
        *((1.818035261, 1.877358562, 1.84119196, 2.011561324), 7.548147107),
        *((19, 20, 16), (-0.2463295, -0.4034034, 0.06069292)),
    ),
    "F2": (
        *(33, 8.0, 2, (1, 3, -0.5, 0.2), (0.6, 9, -1.1, 0)),
        *((1.388521532, 6.357336815, 1.745535327, 1.331561416), 10.82295509),
        *((20, 21, 16), (-0.3214159, -0.1473257, 0.01629574)),
    ),
    "F3": (
        *(9, 4.0, 1.5, (0, 0.5, -0.2, 0.3), (0.2, 0.4, -0.1, 4)),
        *((0.6306071589, 0.5001849951, 0.5979411232, 3.282372771), 5.011106048),
        *((4, 5, 4), (-0.07833087, -0.127656, -0.07833087)),
    ),
}


def peaked(bins, reg_scale, k, m):
    """Logits -k |W(n) - m| (4 * bins,)."""
    values = np.array(oracle.bin_values(bins, reg_scale, 0.5))
    return np.concatenate([-k * np.abs(values - middle) for middle in m])


@pytest.mark.parametrize("row", FGL_ROWS)
def test_the_checked_numbers_of_fgl_are_reproduced(row):
    bins, reg_scale, k, m, sides, per_side, total, places, gradient = FGL_ROWS[row]
    loss = boxloss.FGLLoss(bins=bins, reg_scale=reg_scale, dtype="float64")
    truth, logits = np.float64([[sides]]), peaked(bins, reg_scale, k, m)[None, None]
    value, slope = value_and_gradient(lambda z: loss.tensors(truth, z).box_errors, logits)
    close(value[0, 0], total)
    close(slope[0, 0, list(places)], gradient, rtol=2e-6, atol=1e-6)
    got = as_numpy(functional.fgl_loss(truth, logits, bins=bins, reg_scale=reg_scale))
    close(got[0, 0], per_side)


def waves(queries, bins):
    """Teacher and student logits (queries, 4 * bins)."""
    k, s, i = np.mgrid[:queries, :4, :bins]
    teacher, student = 2 * np.cos(2 * k + s + 3 * i), 2 * np.sin(k + 2 * s + 3 * i)
    return teacher.reshape(queries, -1), student.reshape(queries, -1)


# bins, temperature, quality, matched; per query, reduced; gradient of the first three logits
DDF_ROWS = {
    "D1": (
        *(9, 5.0, (0.8, 0.3, 0.1), (1, 0, 0)),
        *((3.138403234, 1.459495354, 1.08086308), 0.5110057356),
        (-0.01765804, 0.01975328, -0.02148661),
    ),
    "D2": (
        *(33, 5.0, (0.9, 0.4), (1, 1)),
        *((3.75188414, 2.281291205), 0.754146918),
        (-0.007970956, 0.00629976, -0.009311391),
    ),
    "D3": (
        *(5, 1.0, (0.2, 0.7, 0.5, 0.05), (0, 1, 1, 0)),
        *((0.2944599401, 2.362278523, 3.208774825, 0.3320144311), 0.3873454824),
        (-0.002372433, 0.002916267, -0.002986861),
    ),
}


@pytest.mark.parametrize("row", DDF_ROWS)
def test_the_checked_numbers_of_ddf_are_reproduced(row):
    bins, temperature, quality, matched, per_query, reduced, gradient = DDF_ROWS[row]
    teacher, student = waves(len(quality), bins)
    truth = np.concatenate([teacher, np.transpose([quality, matched])], axis=-1)[None]
    arguments = {"bins": bins, "temperature": temperature, "dtype": "float64"}
    loss = boxloss.DDFLoss(**arguments)
    value, slope = value_and_gradient(lambda z: loss(truth, z), student[None])
    close(value, reduced)
    close(slope[0, 0, :3], gradient, rtol=2e-6, atol=1e-6)
    plain = boxloss.DDFLoss(**arguments, balance="none")
    close(as_numpy(plain.tensors(truth, student[None]).box_errors)[0], per_query)


# logits, (class, quality), arguments; per class, sum; gradient
MAL_ROWS = {
    "M1": (
        *([1.2, -0.7, 0.3], (1, 0.8), {}),
        *((0.9858594072, 0.9040652758, 0.3719703764), 2.261895059),
        (0.5177793, -0.3837295, 0.2501016),
    ),
    "M2": (
        *([1.2, -0.7, 0.3], (3, 0.0), {}),
        *((0.9858594072, 0.07706267423, 0.3719703764), 1.434892458),
        (0.5177793, 0.06342069, 0.2501016),
    ),
    "M3": (
        *([-2.0, 0.5, 3.0, -1.0], (2, 0.3), {"gamma": 2.0, "alpha": 0.75}),
        *((0.001352672126, 0.2830587006, 2.778587352, 0.01699354313), 3.079992267),
        (0.001270346, 0.1808815, 0.8625741, 0.0145893),
    ),
}


@pytest.mark.parametrize("row", MAL_ROWS)
def test_the_checked_numbers_of_mal_are_reproduced(row):
    logits, true, arguments, per_class, total, gradient = MAL_ROWS[row]
    loss = boxloss.MALLoss(**arguments, dtype="float64")
    truth, logits = np.float64([[true]]), np.float64([[logits]])
    value, slope = value_and_gradient(lambda z: loss.tensors(truth, z).box_errors, logits)
    close(value[0, 0], total)
    close(slope[0, 0], gradient, rtol=2e-6, atol=1e-6)
    errors = as_numpy(loss.tensors(truth, logits).coordinate_errors)
    close(errors[0, 0], per_class)


# The oracles on drawn cases -----------------------------------------------------------------------


def fgl_case(rng, bins, count=40):
    """Sides that reach beyond the bins, and logits of all kinds."""
    sides = rng.normal(0, 1.5, (count, 4))
    sides[::5] *= 4
    sides[1::7] = np.round(sides[1::7])
    logits = rng.normal(0, 2, (count, 4, bins))
    logits -= 3 * np.abs(np.linspace(-4, 4, bins) - sides[..., None] - rng.normal(size=(4, 1)))
    return sides, logits.reshape(count, -1)


@pytest.mark.parametrize(
    "arguments", [{}, {"bins": 9, "reg_scale": 8.0, "up": 0.3}, {"iou_weight": False}], ids=str
)
def test_fgl_is_that_of_the_paper(arguments):
    bins = arguments.get("bins", 33)
    sides, logits = fgl_case(np.random.default_rng(0), bins)
    loss = boxloss.FGLLoss(**arguments, dtype="float64")
    value, slope = value_and_gradient(
        lambda z: loss.tensors(sides[None], z).box_errors, logits[None]
    )
    seen = 0
    for i in range(len(sides)):
        expected = oracle.fgl(sides[i], logits[i], **arguments)
        close(value[0, i], expected.sum())
        seen += expected.sum() > 0
        if i % 8 == 0 and EXACT:

            def of(x, at, i=i):
                return oracle.fgl(sides[i], x, at, **arguments).sum()

            close(slope[0, i], differences(of, logits[i], logits[i]), rtol=1e-5, atol=1e-7)
    assert seen > 25  # not all without overlap


@pytest.mark.parametrize("arguments", [{}, {"bins": 6, "temperature": 1.5}], ids=str)
def test_ddf_is_that_of_the_paper(arguments):
    bins, rng = arguments.get("bins", 33), np.random.default_rng(0)
    teacher, student = rng.normal(0, 4, (2, 40, 4 * bins))
    rest = np.stack([rng.uniform(0, 1, 40), rng.integers(0, 2, 40)], axis=-1)
    truth = np.concatenate([teacher, rest], axis=-1)
    value, slope = value_and_gradient(lambda z: functional.ddf_loss(truth, z, **arguments), student)
    for i in range(40):
        close(value[i], oracle.ddf(truth[i], student[i], **arguments))
        if i % 10 == 0 and EXACT:

            def of(x, at, i=i):
                return oracle.ddf(truth[i], x, **arguments).sum()

            close(slope[i], differences(of, student[i], None), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("arguments", [{}, {"gamma": 0.0}, {"gamma": 2.0, "alpha": 0.4}], ids=str)
def test_mal_is_that_of_the_paper(arguments):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40, 5))
    truth = np.stack([rng.integers(0, 6, 40), rng.uniform(-0.1, 1.1, 40)], axis=-1)
    truth = truth.astype("float32").astype("float64")
    value, slope = value_and_gradient(lambda z: functional.mal_loss(truth, z, **arguments), logits)
    for i in range(40):
        if truth[i, 0] == 5:
            assert value[i] > 0  # background: every class is a negative
        if arguments.get("gamma") == 0 and truth[i, 0] < 5:
            assert value[i] > -np.log(1 / (1 + np.exp(-logits[i, int(truth[i, 0])]))) - 1e-6
        close(value[i], oracle.mal(truth[i], logits[i], **arguments).sum(), rtol=1e-6)

        def of(x, at, i=i):
            return oracle.mal(truth[i], x, at, **arguments).sum()

        close(slope[i], differences(of, logits[i], logits[i]), rtol=1e-4, atol=1e-6)


def test_mal_at_gamma_zero_does_not_make_negatives_positive():
    # BCE(x, 0) of both: 0^0 = 1 would make it BCE(x, 1).
    got = as_numpy(functional.mal_loss([[2.0, 0.0]], np.float32([[1.0, -1.0]]), gamma=0.0))
    close(got, [np.log1p(np.e) + np.log1p(1 / np.e)], rtol=1e-6)


# Bins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins, reg_scale, up", [(33, 4.0, 0.5), (33, 8.0, 0.5), (5, 2.0, 1.5)])
def test_the_bins_are_those_of_the_paper(bins, reg_scale, up):
    values = fine_grained.bin_values(bins, reg_scale, up)
    close(values, oracle.bin_values(bins, reg_scale, up), rtol=1e-12, atol=1e-12)
    assert len(values) == bins and (np.diff(values) > 0).all()


def test_the_default_bins_by_hand():
    values = fine_grained.bin_values()
    close(values[16:19], [0, 3 ** (1 / 15) - 1, 3 ** (2 / 15) - 1], atol=1e-12)
    close(values[[0, 30, 31, 32]], [-4, 3 ** (14 / 15) - 1, 2, 4], atol=1e-12)


def test_the_two_weights_keep_the_side_and_sides_beyond_belong_to_the_last_bin():
    values = fine_grained.bin_values()
    sides = np.float32([-50, -4, -3.9, 0, 0.05, values[20], 1.99, 3.5, 4, 1e9])
    weights = as_numpy(fine_grained.side_weights(as_tensor(sides), values))
    close(weights.sum(-1), np.ones(10), rtol=1e-6)
    assert ((weights > 1e-6).sum(-1) <= 2).all()
    close(weights @ values, sides.clip(-4, 4), rtol=2e-6, atol=2e-6)
    assert weights[0, 0] == weights[1, 0] == weights[8, -1] == weights[9, -1] == 1


def test_logits_of_minus_infinity_are_bins_that_cannot_be():
    sides = np.float32([[0.3, -0.5, 0.05, 0.9]])
    logits = np.full((1, 4, 33), -np.inf, "float32")
    logits[..., 10:26] = np.random.default_rng(0).normal(size=(1, 4, 16))
    held = np.where(np.isinf(logits), -1e4, logits)
    arguments = {"iou_weight": False}
    value, slope = value_and_gradient(
        lambda z: functional.fgl_loss(sides, z, **arguments), logits.reshape(1, 132)
    )
    expected = as_numpy(functional.fgl_loss(sides, held.reshape(1, 132), **arguments))
    close(value, expected, rtol=1e-6)
    assert np.isfinite(slope).all()
    truth = np.concatenate([logits.reshape(1, 132), [[1.0, 1.0]]], axis=-1).astype("float32")
    assert np.isfinite(as_numpy(functional.ddf_loss(truth, held.reshape(1, 132)))).all()


# The ladder ---------------------------------------------------------------------------------------


def test_a_side_of_minus_one_is_a_side_and_padding_is_far_below():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 4, 132)).astype("float32")
    sides = np.float32([[[-1] * 4, [0.5] * 4, [-1e9] * 4, [-4.5, 3, -4.5, 3]]])
    tensors = boxloss.FGLLoss(iou_weight=False).tensors(sides, logits).numpy()
    assert (tensors.box_errors[0, [0, 1, 3]] > 0).all()
    assert tensors.box_errors[0, 2] == 0 and (tensors.residuals[0, 2] == 0).all()
    close(tensors.loss, tensors.box_errors.sum() / 3, rtol=1e-6)
    mask = np.array([[False, True, True, True]])
    masked = boxloss.FGLLoss(iou_weight=False).tensors(sides, logits, mask=mask).numpy()
    assert masked.box_errors[0, 0] == 0


def test_the_residuals_of_fgl_are_those_of_the_expected_box():
    values = fine_grained.bin_values()
    logits = np.full((1, 1, 4, 33), -1e4, "float32")
    for side, bin in enumerate((18, 16, 0, 31)):
        logits[0, 0, side, bin] = 0
    truth = np.float32([[[0, 1, -1, 2]]])
    tensors = boxloss.FGLLoss().tensors(truth, logits.reshape(1, 1, 132)).numpy()
    close(tensors.residuals[0, 0], [-values[18], 1, -3, 0], rtol=1e-6)
    assert list(tensors.terms) == ["left", "top", "right", "bottom"]


@pytest.mark.parametrize("kept", [(0, 1, 2, 3, 4), (0, 2), (1, 3), (4,), ()])
def test_ddf_balances_matched_boxes_with_the_others(kept):
    """Both kinds, one of them, one box, none: the mean of the boxes is that of the paper."""
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 5, 132))
    matched = np.float64([1, 0, 1, 0, 1])
    truth = np.concatenate([teacher, np.stack([rng.uniform(0, 1, 5), matched], -1)], axis=-1)
    per_box = [oracle.ddf(t, z).sum() for t, z in zip(truth, student, strict=True)]
    mask = np.isin(np.arange(5), kept)
    truth[~mask] = -1
    got = float(boxloss.DDFLoss(dtype="float64")(truth[None], student[None]))
    kept = list(kept)
    expected = oracle.balanced(np.array(per_box)[kept], matched[kept]) if kept else 0.0
    close(got, expected, rtol=1e-6)


def test_equal_distributions_cost_nothing():
    rng = np.random.default_rng(0)
    teacher = rng.normal(0, 5, (1, 3, 132)).astype("float32")
    truth = np.concatenate([teacher, np.ones((1, 3, 2), "float32")], axis=-1)
    loss = boxloss.DDFLoss()
    value, slope = value_and_gradient(lambda z: loss(truth, z), teacher)
    # Two softmaxes of the same numbers, which a compiler need not round alike.
    assert 0 <= value < 1e-6
    np.testing.assert_allclose(slope, 0, atol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: boxloss.FGLLoss(bins=32),
            "`bins` must be an odd whole number of at least 5. Received: bins=32",
        ),
        (
            lambda: boxloss.FGLLoss(up=0.0),
            "`up` must be a number above 0. Received: up=0.0",
        ),
        (
            lambda: boxloss.DDFLoss(balance="mean"),
            "`balance` must be one of 'none', 'sqrt'. Received: balance='mean'",
        ),
        (
            lambda: boxloss.FGLLoss()(np.zeros((1, 2, 4)), np.zeros((1, 2, 128))),
            "`y_pred` must have shape (B, N, 132). "
            "Received: y_true.shape=(1, 2, 4), y_pred.shape=(1, 2, 128)",
        ),
        (
            lambda: boxloss.DDFLoss()(np.zeros((1, 2, 132)), np.zeros((1, 2, 132))),
            "`y_true` must have shape (B, N, 134). "
            "Received: y_true.shape=(1, 2, 132), y_pred.shape=(1, 2, 132)",
        ),
        (
            lambda: coders.SideCoder([1.0, 2.0, 3.0, 4.0]),
            "`reference` must be boxes of shape (A, 4) or (B, A, 4). "
            "Received: reference.shape=(4,)",
        ),
    ],
)
def test_wrong_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message


# The coder ----------------------------------------------------------------------------------------


def references_and_boxes(seed=0):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (2, 6, 2)), rng.uniform(10, 40, (2, 6, 2))
    moved, grown = corner + rng.uniform(-5, 5, (2, 6, 2)), size * rng.uniform(0.7, 1.4, (2, 6, 2))
    return (
        np.concatenate([corner, corner + size], -1).astype("float32"),
        np.concatenate([moved, moved + grown], -1).astype("float32"),
    )


def test_sides_are_measured_from_the_edges_of_the_reference():
    reference, boxes = references_and_boxes()
    sides = as_numpy(coders.SideCoder(reference).sides(boxes))
    w, h = (reference[..., 2:] - reference[..., :2]).transpose(2, 0, 1)
    close(sides[..., 0], 4 * (reference[..., 0] - boxes[..., 0]) / w, rtol=1e-4, atol=1e-5)
    close(sides[..., 3], 4 * (boxes[..., 3] - reference[..., 3]) / h, rtol=1e-4, atol=1e-5)
    close(as_numpy(coders.SideCoder(reference).sides(reference)), 0 * sides, atol=1e-5)


@pytest.mark.parametrize("arguments", [{}, {"bins": 9, "reg_scale": 8.0, "up": 0.4}], ids=str)
def test_the_coder_decodes_what_it_encodes(arguments):
    reference, boxes = references_and_boxes()
    coder = coders.SideCoder(reference, **arguments)
    again = as_numpy(coder.decode(coder.encode(boxes)))
    close(again, boxes, rtol=1e-4, atol=1e-4)
    uniform = np.zeros((2, 6, coder.size), "float32")
    close(as_numpy(coder.decode(uniform)), reference, rtol=1e-5, atol=1e-4)
    config = coders.SideCoder.from_config(coder.get_config()).get_config()
    assert config == coder.get_config()


def test_fgl_of_encoded_boxes_weighs_by_the_iou_of_the_boxes():
    reference, boxes = references_and_boxes()
    other = references_and_boxes(seed=5)[1]
    coder = coders.SideCoder(reference)
    sides, logits = coder.sides(boxes), coder.encode(0.5 * boxes + 0.5 * other)
    weighted, plain = (
        as_numpy(functional.fgl_loss(sides, logits, iou_weight=flag)) for flag in (True, False)
    )
    iou = 1 - as_numpy(functional.iou_loss(boxes, coder.decode(logits)))
    assert 0 < iou.mean() < 1
    close(weighted, iou[..., None] * plain, rtol=1e-3, atol=1e-3)


def test_a_reference_without_extent_is_encoded_as_its_own_edges():
    coder = coders.SideCoder(np.float32([[5, 5, 5, 9]]))
    sides = as_numpy(coder.sides(np.float32([[[3, 5, 8, 9]]])))
    np.testing.assert_array_equal(sides[0, 0], [0, 0, 0, 0])
