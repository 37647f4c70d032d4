"""AUROC, average precision, best F1 and recall of a ranking, under many weightings at once."""

import numpy as np

MEASURES = ("auroc", "ap", "best_f1", "recall_1", "recall_5", "recall_10")
BUDGETS = {"recall_1": 0.01, "recall_5": 0.05, "recall_10": 0.10}


def cell(values, bad, weights):
    """{measure: (B,)} of n items: values (n,), high is suspicious; bad: bool (n,); weights (B, n).

    Items of equal value are taken together: AUROC counts such a pair half, AP and recall go
    straight from one end of the tie to the other. NaN where all weight is on one side.
    """
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    weights = weights[:, order].astype("float64")
    hits = np.cumsum(weights * bad[order], axis=1)[:, ends]
    seen = np.cumsum(weights, axis=1)[:, ends]
    all_hits, count = hits[:, -1:], seen[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / all_hits
        false = (seen - hits) / (count - all_hits)
        recall_steps = np.diff(recall, axis=1, prepend=0.0)
        middle = recall - recall_steps / 2
        precision = np.where(seen > 0, hits / np.maximum(seen, 1e-12), 0.0)
        measured = {
            "auroc": np.sum(np.diff(false, axis=1, prepend=0.0) * middle, axis=1),
            "ap": np.sum(recall_steps * precision, axis=1),
            # F1 at the threshold where it is best: 2 hits / (what is reported + what is wrong).
            "best_f1": np.max(2 * hits / (seen + all_hits), axis=1),
        }
        for name, budget in BUDGETS.items():
            measured[name] = np.array(
                [
                    np.interp(budget, np.append(0, row), np.append(0, line))
                    for row, line in zip(seen / count, recall, strict=True)
                ]
            )
    return measured
