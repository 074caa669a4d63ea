// A classifier in a page: BERT's tokenizer, one run of the graph, and words coloured by their attributions.
const part = id => document.getElementById(id).textContent
const bytes = id => Uint8Array.from(atob(part(id)), c => c.charCodeAt(0))
const local = (id, type) => URL.createObjectURL(new Blob([bytes(id)], { type }))
const about = JSON.parse(part("about"))

const blank = c => /[\t\n\r]|\p{White_Space}/u.test(c)
const stop = c => /[!-\/:-@\[-`{-~]|\p{P}/u.test(c)
const ideograph = c => {
  const p = c.codePointAt(0)
  return [[0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f], [0x2b740, 0x2b81f], [0x2b920, 0x2ceaf],
          [0xf900, 0xfaff], [0x2f800, 0x2fa1f]].some(([a, b]) => a <= p && p <= b)
}

// Words: the letters that the vocabulary sees, and where the word starts and each letter ends in the text as typed.
function words(text) {
  const found = []
  let word = null, at = 0
  const close = () => { if (word && word.letters.length) found.push(word); word = null }
  for (const c of text) {
    const start = at
    at += c.length
    if (c === "\0" || c === "\ufffd" || (/\p{C}/u.test(c) && !/[\t\n\r]/.test(c))) continue
    if (blank(c)) { close(); continue }
    const plain = about.lowercase ? [...c.normalize("NFD")].filter(o => !/\p{Mn}/u.test(o)).join("").toLowerCase() : c
    if (plain === "") { // an accent belongs to the letter before it
      const last = word ?? found.at(-1)
      if (last?.ends.at(-1) === start) last.ends[last.ends.length - 1] = at
      continue
    }
    const alone = stop(c) || ideograph(c)
    if (alone) close()
    word ??= { letters: [], ends: [], start }
    for (const o of plain) { word.letters.push(o); word.ends.push(at) }
    if (alone) close()
  }
  close()
  return found
}

// Longest known piece first, each with the letter it ends before; a word that cannot be spelled is one unknown piece.
function pieces(letters) {
  const unknown = [[about.unknown, letters.length]], found = []
  if (letters.length > 100) return unknown
  for (let start = 0; start < letters.length;) {
    let end = letters.length, id
    while (end > start && (id = about.vocabulary[(start ? "##" : "") + letters.slice(start, end).join("")]) === undefined) end--
    if (id === undefined) return unknown
    found.push([id, end]); start = end
  }
  return found
}

const ort = await import(local("runtime", "text/javascript"))
ort.env.wasm.numThreads = 1
ort.env.wasm.wasmPaths = { mjs: local("loader", "text/javascript"), wasm: local("wasm", "application/wasm") }
const session = await ort.InferenceSession.create(bytes("model"), { executionProviders: ["wasm"] })
let line = Promise.resolve() // a session answers one after the other

// Label, probabilities, and for each word its place and its attribution to every class.
async function answer(text) {
  const found = words(text), ids = [about.first], owner = [-1], room = about.max_length - 1
  found.forEach((o, i) => {
    for (const [id, end] of pieces(o.letters)) {
      if (ids.length < room) o.end = o.ends[end - 1] // as far as it is read
      ids.push(id); owner.push(i)
    }
  })
  const truncated = ids.length > room
  ids.length = owner.length = Math.min(ids.length, room)
  ids.push(about.last); owner.push(-1)
  const tensor = values => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, ids.length])
  const asked = { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) }
  const out = await (line = line.catch(() => {}).then(() => session.run(asked)))
  const probabilities = [...out.probabilities.data], C = probabilities.length, values = out.attributions.data
  const sums = found.map(() => new Array(C).fill(0)), special = new Array(C).fill(0)
  owner.forEach((o, t) => { for (let c = 0; c < C; c++) (o < 0 ? special : sums[o])[c] += values[t * C + c] })
  const shown = found.slice(0, Math.max(...owner) + 1)
  return { label: about.names[probabilities.indexOf(Math.max(...probabilities))], probabilities: Object.fromEntries(about.names.map((o, c) => [o, probabilities[c]])),
           words: shown.map((o, i) => ({ text: text.slice(o.start, o.end), start: o.start, end: o.end,
                                         attributions: Object.fromEntries(about.names.map((name, c) => [name, sums[i][c]])) })),
           special: Object.fromEntries(about.names.map((o, c) => [o, special[c]])), truncated }
}

const make = (tag, content, more = {}) => Object.assign(document.createElement(tag), content === null ? {} : { textContent: content }, more)

function show(place, text, found, live) {
  const weights = found.words.map(o => o.attributions[found.label]), most = Math.max(...weights.map(Math.abs), 1e-12)
  const head = make("p", null)
  head.append(make("span", found.label, { className: "label" }), ` ${(100 * found.probabilities[found.label]).toFixed(1)} %`)
  if (live) head.setAttribute("role", "status")
  const marked = make("p", null, { className: "words" })
  let at = 0
  found.words.forEach((o, i) => {
    const share = weights[i] / most, side = share >= 0 ? "for" : "against", told = `${weights[i] >= 0 ? "+" : "−"}${Math.abs(weights[i]).toFixed(3)}`
    const span = make("span", o.text, { title: told })
    span.dataset.attribution = weights[i]
    span.style.background = `rgba(var(--${side}), ${(0.75 * Math.abs(share)).toFixed(2)})`
    if (Math.abs(share) >= 0.2) span.className = side
    marked.append(text.slice(at, o.start), span); at = o.end
  })
  marked.append(text.slice(at))
  const strongest = weights.map((w, i) => [w, i]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 5)
  const list = make("p", "Strongest: " + (strongest.map(([w, i]) => `${found.words[i].text} ${w >= 0 ? "+" : "−"}${Math.abs(w).toFixed(2)}`).join(", ") || "no words"), { className: "quiet" })
  const table = make("table", null, { ariaLabel: "Probabilities" })
  for (const [name, p] of Object.entries(found.probabilities)) {
    const row = table.insertRow(), cell = make("td", null)
    row.append(make("th", name, { scope: "row" }))
    cell.append(make("meter", `${(100 * p).toFixed(1)} %`, { value: p, ariaLabel: name }), make("span", `${(100 * p).toFixed(1)} %`, { className: "number" }))
    row.append(cell)
  }
  place.replaceChildren(head, marked, list, table)
  if (found.truncated) place.append(make("p", "The text is longer than the classifier reads, and was truncated.", { className: "quiet" }))
}

const field = document.getElementById("text"), mine = document.getElementById("mine")
let asked = 0
async function update() {
  const turn = ++asked, start = performance.now(), text = field.value, found = await answer(text)
  if (turn !== asked) return // a newer text is on its way
  show(mine, text, found, true)
  document.getElementById("time").textContent = `answered in ${(performance.now() - start).toFixed(1)} ms`
}
field.value = about.examples[0]?.text ?? ""
field.disabled = false
field.addEventListener("input", update)
await update()

const stored = document.getElementById("stored")
async function compare() {
  const { text, teacher } = about.examples[stored.value]
  show(document.getElementById("teacher"), text, teacher)
  show(document.getElementById("student"), text, await answer(text))
}
if (about.examples.length) {
  about.examples.forEach((o, i) => stored.append(make("option", o.text.slice(0, 90), { value: i })))
  stored.addEventListener("change", compare)
  document.getElementById("beside").hidden = false
  await compare()
}
window.lightx = { answer, words, pieces }
document.body.dataset.ready = "yes"
