// The student: a mean of embeddings, a hidden layer, an output layer, and exact Integrated Gradients.

// Tensors by name, as the safetensors format holds them.
function tensors(raw) {
  const kinds = { I8: Int8Array, U8: Uint8Array, BOOL: Uint8Array, I32: Int32Array, F32: Float32Array }
  const size = Number(new DataView(raw.buffer).getBigUint64(0, true)), start = 8 + size
  const { __metadata__, ...told } = JSON.parse(new TextDecoder().decode(raw.subarray(8, start)))
  return Object.fromEntries(Object.entries(told).map(([name, { dtype, shape, data_offsets: [a, b] }]) =>
    [name, { shape, data: new kinds[dtype](raw.buffer.slice(start + a, start + b)) }]))
}

const relu = x => Math.max(x, 0)
// The mean derivative of relu between two places.
const secant = (p, p0) => Math.abs(p - p0) < 1e-6 ? +(p > 0) : (relu(p) - relu(p0)) / (p - p0)
const softmax = x => {
  const most = Math.max(...x), e = x.map(o => Math.exp(o - most)), sum = e.reduce((a, b) => a + b, 0)
  return e.map(o => o / sum)
}
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i))
const dot = (a, b, at = 0) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[at + i]; return sum }

// From token ids to logits [C], logits at the baseline [C], and the attributions of each token [T][C].
function makeStudent(w, { baseline, pool_width, target, pad_id }) {
  const [H, D] = w["hidden.weight"].shape, C = w["output.bias"].shape[0], V = w["embedding.rows"].shape[0]
  const [rows, scale, hidden, bias, output, last] =
    ["embedding.rows", "embedding.scale", "hidden.weight", "hidden.bias", "output.weight", "output.bias"].map(o => w[o].data)
  const [first, second] = w.bigrams ? range(2, i => w.bigrams.data.subarray(i * w.bigrams.shape[1])) : [[], []]
  const bigrams = new Map(range(w.bigrams?.shape[1] ?? 0, i => [first[i] * V + second[i], w["bigrams.rows"].data[i]]))
  const row = id => Float64Array.from(rows.subarray(id * D, (id + 1) * D), o => o * scale[id])
  const start = baseline === "pad" ? row(pad_id) : new Float64Array(D)
  const before = mean => range(H, h => bias[h] + dot(mean, hidden, h * D))         // of the hidden layer's relu
  const logits = p => { const a = p.map(relu); return range(C, c => last[c] + dot(a, output, c * H)) }

  // What is read: rows, each with the tokens that its attribution goes to. A piece may have given its row to a bigram.
  // A token that is switched off, and a bigram with one in it, has the baseline's row, so that it pulls nothing.
  function parts(ids, off) {
    const found = ids.flatMap((id, t) => w.given?.data[id] ? [] : [{ row: off[t] ? start : row(id), tokens: [t] }])
    for (let t = 0; t + 1 < ids.length; t++) {
      const own = bigrams.get(ids[t] * V + ids[t + 1])
      if (own !== undefined) found.push({ row: off[t] || off[t + 1] ? start : row(own), tokens: [t, t + 1] })
    }
    return found
  }

  // How the target moves with each hidden unit on average along the way [C][H].
  function directions(p, p0) {
    if (target === "probabilities") return alongTheWay(p, p0)
    const mean = range(H, h => target === "centred" ? range(C, c => output[c * H + h]).reduce((a, b) => a + b, 0) / C : 0)
    const s = p.map((o, h) => secant(o, p0[h]))
    return range(C, c => range(H, h => (output[c * H + h] - mean[h]) * s[h]))
  }

  // The same for probabilities, by Simpson's rule over pieces of the way.
  function alongTheWay(p, p0, pieces = 32) {
    const at = k => p0.map((o, h) => o + (k / (2 * pieces)) * (p[h] - o)), sum = range(C, () => new Float64Array(H))
    const slope = k => { const s = softmax(logits(at(k))); return range(C, i => range(C, j => (i === j ? s[i] : 0) - s[i] * s[j])) }
    for (let k = 0; k < 2 * pieces; k += 2) {
      const [a, b, c] = [slope(k), slope(k + 1), slope(k + 2)], from = at(k), to = at(k + 2)
      const jacobian = range(C, i => range(C, j => (a[i][j] + 4 * b[i][j] + c[i][j]) / (6 * pieces)))
      for (let h = 0; h < H; h++) {
        const s = secant(to[h], from[h])
        for (let i = 0; i < C; i++) for (let j = 0; j < C; j++) sum[i][h] += jacobian[i][j] * s * output[j * H + h]
      }
    }
    return sum
  }

  return function explain(ids, off = []) {
    const read = parts(ids, off), share = 1 / (pool_width || read.length || 1), mean = new Float64Array(D)
    for (const o of read) for (let d = 0; d < D; d++) mean[d] += share * o.row[d]
    const p = before(mean), p0 = before(start.map(o => o * share * read.length))
    const toward = directions(p, p0).map(way => { // the same with each number of an embedding [C][D]
      const sum = new Float64Array(D)
      for (let h = 0; h < H; h++) for (let d = 0; d < D; d++) sum[d] += way[h] * hidden[h * D + d]
      return sum
    })
    const base = toward.map(way => dot(start, way)), attributions = ids.map(() => new Array(C).fill(0))
    for (const { row, tokens } of read) for (let c = 0; c < C; c++) {
      const value = share * (dot(row, toward[c]) - base[c]) / tokens.length
      for (const t of tokens) attributions[t][c] += value
    }
    return { logits: logits(p), baseline_logits: logits(p0), attributions }
  }
}
