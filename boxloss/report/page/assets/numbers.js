// @ts-check
// Numbers: as words, and sums of them.

export function format(value, digits = 3) {
  if (value === null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 0.5 * 10 ** -digits)) return value.toExponential(1);
  return value.toFixed(digits).replace("-", "−");
}

export function signed(value, digits = 1) {
  const text = format(value, digits);
  return value > 0 ? `+${text}` : text;
}

export function numbers(values) {
  return Float64Array.from(values, (value) => (value === null ? NaN : value));
}

export function quantile(sorted, share) {
  if (!sorted.length) return NaN;
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

export function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN;
}

export function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return null;
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** A number with so many digits and no exponent, which small ones would get in `format`. */
export function fixed(value, digits = 1) {
  if (value === null || Number.isNaN(value)) return "–";
  const text = value.toFixed(digits).replace("-", "−");
  return /[1-9]/.test(text) ? text : text.replace("−", "");
}

/** A count with commas between thousands. */
const THOUSANDS = new Intl.NumberFormat("en-US"); // made once: making it takes milliseconds
export const grouped = (value) => THOUSANDS.format(value);
