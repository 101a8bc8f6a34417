// The attention of one model call: unpacking, averages over layers and heads, and sums over spans.

const DECODED = Float64Array.from({ length: 256 }, (_, code) => (code ? 10 ** (6 * ((code - 1) / 254 - 1)) : 0));

class Weights {
  constructor(bytes) {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    Object.assign(this, JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))));
    const cells = this.layers.length * this.heads.length * this.tokens.length;
    this.byHead = bytes.subarray(4 + length, 4 + length + cells);
    this.byToken = bytes.subarray(4 + length + cells);
  }

  // The mean weight on every token of the prompt. Ranges are of rows, both ends included; `row` is a row of the answer,
  // or null for all of them.
  of({ layers, heads, row }) {
    const n = this.tokens.length;
    const found = new Float64Array(n);
    if (row !== null) {
      for (let at = 0; at < n; at++) found[at] = DECODED[this.byToken[row * n + at]];
      return found;
    }
    const rows = (layers[1] - layers[0] + 1) * (heads[1] - heads[0] + 1);
    for (let layer = layers[0]; layer <= layers[1]; layer++) {
      for (let head = heads[0]; head <= heads[1]; head++) {
        const start = (layer * this.heads.length + head) * n;
        for (let at = 0; at < n; at++) found[at] += DECODED[this.byHead[start + at]] / rows;
      }
    }
    return found;
  }

  // [label, mass] of every span, then of the prompt's other tokens.
  masses(weights) {
    const sum = (from, to) => weights.subarray(from, to).reduce((total, one) => total + one, 0);
    const spans = Object.entries(this.spans).map(([label, ranges]) => [
      label,
      ranges.reduce((total, [from, to]) => total + sum(from, to), 0),
    ]);
    const rest = sum(0, weights.length) - spans.reduce((total, [, mass]) => total + mass, 0);
    return [...spans, ["other tokens of the prompt", Math.max(rest, 0)]];
  }

  // The label of every token's span; "" for a token of no span.
  labels() {
    const found = new Array(this.tokens.length).fill("");
    for (const [label, ranges] of Object.entries(this.spans)) {
      for (const [from, to] of ranges) found.fill(label, from, to);
    }
    return found;
  }
}

// How strongly a token is coloured: from 0 (less than a third of an even share) to 6 (a hundred times that share).
function level(weight, tokens) {
  const times = weight * tokens;
  return [1 / 3, 1, 3, 10, 30, 100].filter((limit) => times >= limit).length;
}
