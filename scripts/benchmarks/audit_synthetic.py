"""The synthetic part of audit.py: detectors that did not see what they judge."""

import json

from boxloss.files import write_atomically

TAUGHT = 0.05  # share of altered labels that the "noisy" detector learns
TAUGHT_SEED = 1_000_003


def synthetic_sets(args):
    """{detector: (COCO dict of the exact labels, COCO results)}, trained in `args.out`.

    Each image is judged by a detector that was trained on the other folds. Detectors are trained
    once; kinds, rates and seeds alter only the labels that are audited.
    """
    from boxloss import datasets
    from boxloss.audit.folds import out_of_sample
    from boxloss.datasets import noise, synthetic
    from boxloss.training import Options

    folder = args.out / "data"
    dataset = synthetic.write(folder, args.synthetic, seed=7, image_size=args.image_size)
    sets = {}
    for name in args.detectors:
        learnt = dataset
        if name == "noisy":
            altered, _ = noise.alter(dataset, noise.KINDS, TAUGHT, TAUGHT_SEED)
            with write_atomically(folder / "noisy.json") as path:
                path.write_text(json.dumps(altered), encoding="utf-8")
            learnt = datasets.load(
                folder / "images", folder / "noisy.json", class_names=dataset.class_names
            )
        options = Options(
            size="nano" if name == "noisy" else name,
            image_size=args.image_size,
            epochs=args.epochs,
        )
        found = out_of_sample(learnt, args.out / name, args.folds, options, verbose=0)
        sets[f"synthetic, {name}"] = (dataset.to_coco(), found)
    return sets
