"""FGL, DDF and MAL are those of Transformers' D-FINE and DEIM (`make test-torch`).

Each of the 100 cases is a batch of 1 to 4 images of 12 queries, of which none to all are matched.
What Transformers does otherwise is not asked here: see docs/right.md.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import boxloss
from boxloss import coders
from boxloss.tensors import ops

torch = pytest.importorskip("torch", reason="needs PyTorch")
# Transformers imports torchvision, whose operators may not fit the torch beside it.
pytest.importorskip("torchvision_stub", reason="needs torchvision")
d_fine = pytest.importorskip("transformers.loss.loss_d_fine", reason="needs transformers")
pytest.importorskip("PIL", reason="needs pillow, for transformers")
deim = pytest.importorskip("transformers.loss.loss_deimv2", reason="needs transformers")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(ops.backend() != "torch", reason="needs KERAS_BACKEND=torch"),
]
QUERIES, CLASSES, BINS = 12, 5, 33
CASES = range(100)


def center(xyxy):
    return torch.cat([(xyxy[..., :2] + xyxy[..., 2:]) / 2, xyxy[..., 2:] - xyxy[..., :2]], dim=-1)


def boxes(rng, *shape):
    corner, size = rng.uniform(0.05, 0.5, (*shape, 2)), rng.uniform(0.1, 0.4, (*shape, 2))
    return torch.tensor(np.concatenate([corner, corner + size], -1), dtype=torch.float32)


@pytest.fixture
def case(request):
    """What a decoder layer says of a batch, its truth and who is matched with what."""
    rng = np.random.default_rng(request.param)
    images = int(rng.integers(1, 5))
    references = boxes(rng, images, QUERIES)
    counts = rng.integers(0, QUERIES + 1, images) if request.param % 10 else [QUERIES] * images
    if not sum(counts):
        counts[0] = 1  # no match at all is 0 / 0 there
    chosen = [
        torch.tensor(np.sort(rng.permutation(QUERIES)[:n]), dtype=torch.int64) for n in counts
    ]
    order = [torch.tensor(rng.permutation(n), dtype=torch.int64) for n in counts]
    true = []
    for i, n in enumerate(counts):
        moved = references[i, chosen[i]] + torch.tensor(rng.normal(0, 0.03, (n, 4))).float()
        own = torch.empty_like(moved)
        own[order[i]] = moved
        true.append(own)
    # Peaks near the reference: a box that is not inverted, whose union Transformers divides by.
    middle = rng.normal(0, 0.7, (images, QUERIES, 4, 1))
    values = boxloss.functional.fine_grained.bin_values()
    corners = -3 * np.abs(values - middle) + rng.normal(0, 0.7, (images, QUERIES, 4, BINS))
    teacher = corners + rng.normal(0, 1, corners.shape)
    corners, teacher = (
        torch.tensor(x.reshape(images, QUERIES, -1), dtype=torch.float32)
        for x in (corners, teacher)
    )
    coder = coders.SideCoder(references)
    predicted = coder.decode(corners)
    logits = torch.tensor(rng.normal(0, 2, (2, images, QUERIES, CLASSES)), dtype=torch.float32)
    logits, teacher_logits = logits[0].clone().requires_grad_(True), logits[1].clone()
    labels = [torch.tensor(rng.integers(0, CLASSES, n)) for n in counts]
    return SimpleNamespace(
        coder=coder,
        corners=corners.requires_grad_(True),
        teacher=teacher,
        predicted=predicted,
        logits=logits,
        teacher_logits=teacher_logits,
        outputs={
            "pred_corners": corners,
            "ref_points": center(references),
            "pred_boxes": center(predicted).detach(),
            "teacher_corners": teacher,
            "teacher_logits": teacher_logits.clone(),  # it is changed in place
            "logits": logits,
        },
        targets=[
            {"boxes": center(box), "class_labels": label}
            for box, label in zip(true, labels, strict=True)
        ],
        indices=list(zip(chosen, order, strict=True)),
        true=matched_boxes(true, chosen, order, images),
        labels=matched_labels(labels, chosen, order, images),
        count=int(sum(counts)),
    )


def matched_boxes(true, chosen, order, images):
    """(B, Q, 4): the box of each matched query, -1 elsewhere."""
    found = -torch.ones((images, QUERIES, 4))
    for i in range(images):
        found[i, chosen[i]] = true[i][order[i]]
    return found


def matched_labels(labels, chosen, order, images):
    """(B, Q): the class of each matched query, background elsewhere."""
    found = torch.full((images, QUERIES), CLASSES)
    for i in range(images):
        found[i, chosen[i]] = labels[i][order[i]]
    return found


def is_matched(case):
    return (case.true >= 0).any(-1)


def ious(case):
    return 1 - boxloss.functional.iou_loss(case.true, case.predicted.detach())


def alike(ours, theirs, by):
    """Both scalars, and their gradients."""
    (slope,) = torch.autograd.grad(ours, by)
    (other,) = torch.autograd.grad(theirs, by)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    scale = float(other.abs().max())
    torch.testing.assert_close(slope, other, rtol=1e-3, atol=1e-4 * scale)


def local(case):
    from transformers import DFineConfig

    loss = d_fine.DFineLoss(DFineConfig())
    return loss.loss_local(case.outputs, case.targets, case.indices, case.count)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_fgl_and_ddf_are_those_of_transformers(case):
    theirs = local(case)
    matched = is_matched(case)
    sides = case.coder.sides(case.true)
    errors = boxloss.FGLLoss().tensors(sides, case.corners, mask=matched).box_errors
    alike(errors.sum() / case.count, theirs["loss_fgl"], case.corners)
    other = case.teacher_logits.sigmoid().amax(-1)
    quality = torch.where(matched, ious(case), other)
    rest = torch.stack([quality, matched.float()], dim=-1)
    y_true = torch.cat([case.teacher, rest], dim=-1)
    alike(boxloss.DDFLoss()(y_true, case.corners), theirs["loss_ddf"], case.corners)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_mal_is_that_of_transformers(case):
    from transformers import Deimv2Config

    gamma, alpha = (2.0, None) if case.count % 2 else (1.5, 0.7)
    loss = deim.Deimv2Loss(
        Deimv2Config(focal_loss_gamma=gamma, mal_alpha=alpha, num_labels=CLASSES)
    )
    theirs = loss.loss_labels_mal(case.outputs, case.targets, case.indices, case.count)
    quality = torch.where(is_matched(case), ious(case), torch.zeros(()))
    y_true = torch.stack([case.labels.float(), quality], dim=-1)
    ours = boxloss.MALLoss(gamma=gamma, alpha=1.0 if alpha is None else alpha)
    errors = ours.tensors(y_true, case.logits).box_errors
    alike(errors.sum() / case.count, theirs["loss_mal"], case.logits)
