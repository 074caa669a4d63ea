// A classifier in a page: a reader, a student, and words coloured by their attributions.
const held = id => document.getElementById(id).textContent
async function inflated(id) {
  const packed = new Blob([Uint8Array.from(atob(held(id)), c => c.charCodeAt(0))])
  return new Uint8Array(await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer())
}
const about = JSON.parse(held("about"))
const read = makeReader({ ...about, tokenizer: JSON.parse(new TextDecoder().decode(await inflated("tokenizer"))) })
const explain = makeStudent(tensors(await inflated("model")), about)

// Label, probabilities, and for each word its place and its attribution to every class; without the words that are switched off.
function answer(text, off = new Set()) {
  const { ids, owner, words, truncated } = read(text)
  const { logits, baseline_logits, attributions } = explain(ids, owner.map(o => o >= 0 && off.has(words[o].text.toLowerCase())))
  const named = values => Object.fromEntries(about.names.map((o, c) => [o, values[c]])), none = () => about.names.map(() => 0)
  const sums = words.map(none), special = none()
  owner.forEach((o, t) => about.names.forEach((_, c) => { (o < 0 ? special : sums[o])[c] += attributions[t][c] }))
  const probabilities = softmax(logits)
  return { label: about.names[probabilities.indexOf(Math.max(...probabilities))], probabilities: named(probabilities),
           words: words.map((o, i) => ({ ...o, attributions: named(sums[i]) })), special: named(special),
           logits: named(logits), baseline_logits: named(baseline_logits), truncated }
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
    const span = make("span", text.slice(Math.max(at, o.start), o.end), { title: told }) // two words may come from one letter
    span.dataset.attribution = weights[i]
    span.style.background = `rgba(var(--${side}), ${(0.75 * Math.abs(share)).toFixed(2)})`
    if (Math.abs(share) >= 0.2) span.className = side
    if (live) Object.assign(span, { tabIndex: 0, role: "button", ariaPressed: String(off.has(o.text.toLowerCase())) }).dataset.word = o.text.toLowerCase()
    marked.append(text.slice(at, o.start), span); at = Math.max(at, o.end)
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

const field = document.getElementById("text"), mine = document.getElementById("mine"), off = new Set()
function update() {
  const start = performance.now(), text = field.value
  show(mine, text, answer(text, off), true)
  if (off.size) {
    const whole = answer(text)
    mine.append(make("p", `Switched off: ${[...off].join(", ")}. With all words: ${whole.label} ${(100 * whole.probabilities[whole.label]).toFixed(1)} %.`,
      { className: "quiet", id: "without" }))
  }
  document.getElementById("time").textContent = `answered in ${(performance.now() - start).toFixed(1)} ms`
}
field.value = about.examples[0]?.text ?? ""
field.disabled = false
field.addEventListener("input", update)
// A word that is clicked, or chosen by Enter or the space bar, is switched off, or on again.
function turn(event) {
  const word = event.target.dataset?.word
  if (word === undefined || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return
  event.preventDefault()
  const place = [...mine.querySelectorAll("[data-word]")].indexOf(event.target)
  off.delete(word) || off.add(word)
  update()
  mine.querySelectorAll("[data-word]")[place]?.focus()
}
for (const o of ["click", "keydown"]) mine.addEventListener(o, turn)
update()

// The words of each class over a corpus; <bdi> keeps the direction of a name or a word from its neighbours.
if (about.profile) {
  const place = document.getElementById("profile"), list = place.querySelector("dl")
  place.querySelector("p").textContent = `Over ${about.profile.texts.toLocaleString("en")} texts: how far a word moves a text toward the class, times how often a text has it.`
  about.names.forEach((name, c) => {
    const row = make("dd", about.profile.words[c].length ? null : "no words")
    about.profile.words[c].forEach(([word, pull], i) => row.append(i ? ", " : "", make("bdi", word), "\u00a0", make("span", `+${pull.toFixed(3)}`)))
    list.append(make("dt", null), row)
    row.previousSibling.append(make("bdi", name))
  })
  place.hidden = false
}

// Python counts characters, JavaScript units, of which an emoji has two.
function inUnits(text, found) {
  const at = [0]
  for (const c of text) at.push(at.at(-1) + c.length)
  return { ...found, words: found.words.map(o => ({ ...o, start: at[o.start], end: at[o.end] })) }
}

const stored = document.getElementById("stored")
function compare() {
  const { text, teacher } = about.examples[stored.value]
  show(document.getElementById("teacher"), text, inUnits(text, teacher))
  show(document.getElementById("student"), text, answer(text))
}
if (about.examples.length) {
  about.examples.forEach((o, i) => stored.append(make("option", o.text.slice(0, 90), { value: i })))
  stored.addEventListener("change", compare)
  document.getElementById("beside").hidden = false
  compare()
}
window.lightx = { answer, read, words: text => read(text).words }
document.body.dataset.ready = "yes"
