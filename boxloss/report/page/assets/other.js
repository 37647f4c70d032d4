// @ts-check
// The other run that this one is compared with, if there is one.

export const VERDICTS = ["worse", "better", "same", "unmatched"];
/** run: { title, kind, error, iou, score: arrays, prediction: flat array }; verdicts: one a row. */
export const OTHER = { run: null, verdicts: null };

export function verdictOf(i) {
  return OTHER.verdicts ? OTHER.verdicts[i] : "unmatched";
}
