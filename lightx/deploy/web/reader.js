// Texts to tokens as the Python library "tokenizers" reads them. Its namesake in JavaScript (`library`) cuts words to pieces,
// but tells no places. Here every letter, through all that is done to a text, remembers where it was typed.

// An aligned text: for each UTF-16 unit of `text`, the place in the text as typed that it came from.
function aligned(text) {
  const from = [], to = []
  for (const c of text) for (let i = 0, at = from.length; i < c.length; i++) { from.push(at); to.push(at + c.length) }
  return { text, from, to }
}
const part = (a, start, end) => ({ text: a.text.slice(start, end), from: a.from.slice(start, end), to: a.to.slice(start, end) })

// New letters [letter, change]: 0 in place of a letter, 1 put in after it, -n in place of it and n more.
function transform(a, letters) {
  const text = [], from = [], to = []
  let at = 0 // the next letter that is replaced
  for (const [c, change] of letters) {
    const i = change > 0 ? at - 1 : at
    for (let n = 0; n < c.length; n++) { from.push(a.from[i] ?? 0); to.push(a.to[i] ?? 0) }
    text.push(c)
    for (let n = change; n <= 0; n++) at += a.text.codePointAt(at) > 0xffff ? 2 : 1
  }
  return { text: text.join(""), from, to }
}
const put = letters => letters.map((c, i) => [c, +(i > 0)])
const each = (a, change) => transform(a, [...a.text].flatMap(c => put([...change(c)])))

function filter(a, keep) {
  const found = { text: "", from: [], to: [] }
  let at = 0
  for (const c of a.text) {
    if (keep(c)) { found.text += c; for (let i = at; i < at + c.length; i++) { found.from.push(a.from[i]); found.to.push(a.to[i]) } }
    at += c.length
  }
  return found
}

function replace(a, pattern, content) {
  const parts = []
  let at = 0
  for (const found of a.text.matchAll(pattern)) {
    const end = found.index + found[0].length, all = o => Array(content.length).fill(o[end - 1]) // it stands where the last replaced letter did
    parts.push(part(a, at, found.index), { text: content, from: all(a.from), to: all(a.to) })
    at = end
  }
  parts.push(part(a, at, a.text.length))
  return { text: parts.map(o => o.text).join(""), from: parts.flatMap(o => o.from), to: parts.flatMap(o => o.to) }
}

// Letters in one of Unicode's normal forms. What may be put together or change places: a letter with its marks, and Korean syllables.
function normalForm(a, form) {
  if (/^[\0-\x7f]*$/.test(a.text)) return a
  const apart = form.replace("C", "D")
  return transform(a, [...a.text.matchAll(/[^][\p{M}\u1160-\u11ff]*/gu)].flatMap(([cluster]) => {
    const loose = [...cluster].flatMap(c => put([...c.normalize(apart)]))
    const take = c => loose.splice(loose.findIndex(o => o[0] === c), 1)[0][1]
    return [...cluster.normalize(form)].map(c => {
      const parts = form === apart ? [c] : [...c.normalize(apart)]
      return [c, parts.reduce((sum, o) => sum + take(o), 1 - parts.length)]
    })
  }))
}

// SentencePiece's table of replacements: a tree in a double array, then what is put in, each text ended by a zero.
function charsmap(coded) {
  const raw = Uint8Array.from(atob(coded), c => c.charCodeAt(0)), size = new DataView(raw.buffer).getUint32(0, true)
  const units = new Uint32Array(raw.buffer.slice(4, 4 + size)), told = raw.subarray(4 + size), utf8 = new TextEncoder()
  const step = unit => (unit >>> 10) << ((unit & 512) >>> 6)
  function found(text) { // what is put in for the shortest beginning that has an entry
    let node = step(units[0])
    for (const byte of utf8.encode(text)) {
      const unit = units[node ^= byte]
      if (!byte || unit === undefined || (unit & 0x800000ff) !== byte) return
      node ^= step(unit)
      if (unit & 256) { const at = units[node] & 0x7fffffff; return new TextDecoder().decode(told.subarray(at, told.indexOf(0, at))) }
    }
  }
  const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" })
  return a => {
    const letters = []
    let changed = false
    function use(old, content) {
      const more = [...content].length - [...old].length
      letters.push(...[...content].map((c, i, all) => [c, +(i >= all.length - more)]))
      if (more < 0 && letters.length) letters.at(-1)[1] += more
      changed = true
    }
    for (const { segment } of graphemes.segment(a.text)) {
      const whole = utf8.encode(segment).length < 6 ? found(segment) : undefined
      if (whole !== undefined) { use(segment, whole); continue }
      for (const c of segment) { const one = found(c); if (one === undefined) letters.push([c, 0]); else use(c, one) }
    }
    return changed ? transform(a, letters) : a
  }
}

const IDEOGRAPH = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u
const CONTROL = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/u, BLANK = /\p{White_Space}/u, PUNCTUATION = /[!-\/:-@\[-`{-~\p{P}]/gu
const lower = a => each(a, c => c.toLowerCase())

function bertNormalizer({ clean_text, handle_chinese_chars, strip_accents, lowercase }) {
  return a => {
    if (clean_text) a = each(filter(a, c => !CONTROL.test(c)), c => BLANK.test(c) ? " " : c)
    if (handle_chinese_chars) a = each(a, c => IDEOGRAPH.test(c) ? ` ${c} ` : c)
    if (strip_accents ?? lowercase) a = filter(normalForm(a, "NFD"), c => !/\p{Mn}/u.test(c))
    return lowercase ? lower(a) : a
  }
}

const pattern = o => new library.SplitPreTokenizer({ pattern: o }).pattern // a regular expression of Oniguruma as one of JavaScript
function ahead(a, o) { // what is put in front stands where the first letter does
  if (!a.text || !o) return a
  const [first, ...rest] = a.text
  return transform(a, [...put([...o]), [first, 1], ...rest.map(c => [c, 0])])
}

function normalizer(o) {
  switch (o?.type) {
    case undefined: return a => a
    case "Sequence": { const all = o.normalizers.map(normalizer); return a => all.reduce((b, f) => f(b), a) }
    case "BertNormalizer": return bertNormalizer(o)
    case "Lowercase": return lower
    case "StripAccents": return a => filter(a, c => !/\p{M}/u.test(c))
    case "Strip": return a => {
      const start = o.strip_left ? a.text.match(/^\p{White_Space}*/u)[0].length : 0
      return part(a, start, o.strip_right ? Math.max(start, a.text.search(/\p{White_Space}*$/u)) : a.text.length)
    }
    case "Replace": { const p = pattern(o.pattern); return a => replace(a, p, o.content) }
    case "Prepend": return a => ahead(a, o.prepend)
    case "Precompiled": return o.precompiled_charsmap ? charsmap(o.precompiled_charsmap) : a => a
    default: return a => normalForm(a, o.type) // NFC, NFD, NFKC, NFKD
  }
}

// Parts of a text, at the matches of a pattern; a delimiter is dropped, alone, or joined to what is beside it.
function cut(a, pattern, behavior, inverted = false) {
  let places = [], at = 0, last = false
  for (const found of a.text.matchAll(pattern)) {
    if (found.index > at) places.push([at, found.index, inverted])
    places.push([found.index, at = found.index + found[0].length, !inverted])
  }
  if (at < a.text.length) places.push([at, a.text.length, inverted])
  if (behavior === "Removed") places = places.filter(o => !o[2])
  if (behavior === "Contiguous") places = joined(places, (match, previous) => match === previous)
  if (behavior === "MergedWithPrevious") places = joined(places, (match, previous) => match && !previous)
  if (behavior === "MergedWithNext") places = joined(places.map(([a, b, c]) => [-b, -a, c]).reverse(), (match, previous) => match && !previous)
    .map(([a, b]) => [-b, -a]).reverse()
  return places.map(([start, end]) => part(a, start, end))
}
function joined(places, join) {
  const found = []
  let previous = false
  for (const [start, end, match] of places) {
    if (found.length && join(match, previous)) found.at(-1)[1] = end
    else found.push([start, end])
    previous = match
  }
  return found
}

const BYTES = (() => { // the letters that stand for bytes: those that can be seen stand for themselves
  let next = 256
  return range(256, b => String.fromCharCode((b > 32 && b < 127) || (b > 160 && b !== 173) ? b : next++))
})()
const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu
const utf8 = new TextEncoder()

function metaspace({ replacement, prepend_scheme, split }) {
  return a => {
    const spaced = replace(a, / /g, replacement), wanted = prepend_scheme === "always" || (prepend_scheme === "first" && a.from[0] === 0)
    const whole = wanted && !spaced.text.startsWith(replacement) ? ahead(spaced, replacement) : spaced
    return split ? cut(whole, new RegExp(replacement, "gu"), "MergedWithNext") : [whole]
  }
}

function byteLevel({ add_prefix_space, use_regex }) {
  return a => {
    const whole = add_prefix_space && !a.text.startsWith(" ") ? ahead(a, " ") : a
    return (use_regex ? cut(whole, GPT2, "Isolated") : [whole]).map(o => each(o, c => [...utf8.encode(c)].map(b => BYTES[b])))
  }
}

// From an aligned text to its words.
function preTokenizer(o) {
  switch (o?.type) {
    case undefined: return a => [a]
    case "Sequence": { const all = o.pretokenizers.map(preTokenizer); return a => all.reduce((words, f) => words.flatMap(b => b.text ? f(b) : []), [a]) }
    case "BertPreTokenizer": return a => cut(a, /\p{White_Space}/gu, "Removed").flatMap(b => cut(b, PUNCTUATION, "Isolated"))
    case "Whitespace": return a => cut(a, /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d\p{White_Space}]+/gu, "Removed", true)
    case "WhitespaceSplit": return a => cut(a, /\p{White_Space}/gu, "Removed")
    case "Punctuation": return a => cut(a, PUNCTUATION, o.behavior)
    case "Digits": return a => cut(a, /\p{N}/gu, o.individual_digits ? "Isolated" : "Contiguous")
    case "Metaspace": return metaspace(o)
    case "ByteLevel": return byteLevel(o)
    case "Split": { const p = pattern(o.pattern); return a => cut(a, p, o.behavior, o.invert) }
  }
}

// The cut with the highest sum of scores. The library compares sums with one addend more, which rounds "." + ".." and ".." + "." alike.
function unigram({ vocab, unk_id }) {
  const ids = new Map(vocab.map(([piece], i) => [piece, i])), unknown = vocab.reduce((least, o) => Math.min(least, o[1]), Infinity) - 10
  const longest = vocab.reduce((most, o) => Math.max(most, o[0].length), 1)
  function best(word) { // for each place, where the best piece that ends there starts
    const found = [{ sum: 0 }]
    for (let at = 0, one; at < word.length; at += one) {
      let alone = false
      const offer = (end, id, score) => { const sum = score + found[at].sum; if (!found[end] || sum > found[end].sum) found[end] = { start: at, id, sum } }
      one = word.codePointAt(at) > 0xffff ? 2 : 1
      for (let end = at + 1; end <= Math.min(word.length, at + longest); end++) {
        const id = ids.get(word.slice(at, end))
        if (id !== undefined) { offer(end, id, vocab[id][1]); alone ||= end === at + one }
      }
      if (!alone) offer(at + one, unk_id, unknown)
    }
    return found
  }
  return word => {
    const found = [], all = best(word)
    for (let end = word.length; end; end = all[end].start) { // neighbours that are unknown become one
      if (all[end].id === unk_id && found[0]?.id === unk_id) found[0].start = all[end].start
      else found.unshift({ ...all[end], end })
    }
    return found.map(o => [o.id === unk_id ? ids.get(word.slice(o.start, o.end)) ?? unk_id : o.id, o.end - o.start])
  }
}

// What the library cuts, to bytes or to word pieces.
function byLibrary(o) {
  const one = new library[o.type](o), prefix = o.continuing_subword_prefix ?? ""
  const id = piece => one.tokens_to_ids.get(piece) ?? one.unk_token_id, size = (piece, i) => piece.length - (i ? prefix.length : 0)
  return word => one([word]).map((piece, i, all) => [id(piece), all.length === 1 ? word.length : size(piece, i)])
}

// From a word to its pieces: the id of each, and the letters that it takes.
function model(o) {
  if (o.type === "WordLevel") {
    const ids = new Map(Object.entries(o.vocab))
    return word => [[ids.get(word) ?? ids.get(o.unk_token), word.length]]
  }
  const cutWord = o.type === "Unigram" ? unigram(o) : byLibrary(o), memory = new Map()
  return word => {
    if (memory.size > 20_000) memory.clear()
    if (!memory.has(word)) memory.set(word, cutWord(word))
    return memory.get(word)
  }
}

// Where special tokens stand in an aligned text that was typed with them: [start, end, token], and what is between without a token.
function marked(a, tokens) {
  const names = [...tokens.keys()].sort((x, y) => y.length - x.length).map(o => o.replace(/[\\^$.*+?()[\]{}|\/-]/g, "\\$&"))
  if (!names.length) return [[a]]
  const found = []
  let at = 0
  for (const match of a.text.matchAll(new RegExp(names.join("|"), "gu"))) {
    const token = tokens.get(match[0])
    let start = match.index, end = start + match[0].length
    if (token.lstrip) start = Math.max(at, a.text.slice(0, start).search(/\p{White_Space}*$/u))
    if (token.rstrip) end += a.text.slice(end).match(/^\p{White_Space}*/u)[0].length
    if (start > at) found.push([part(a, at, start)])
    found.push([part(a, start, end), token])
    at = end
  }
  if (at < a.text.length) found.push([part(a, at, a.text.length)])
  return found
}

const next = (text, at) => at + (text.codePointAt(at) > 0xffff ? 2 : 1)

// A reader of texts. `first`, `last`: ids around a text. `trim`: spaces are no part of a token; its `prefix`: but the one put in front.
function makeReader({ tokenizer, first, last, trim, max_length }) {
  const normal = normalizer(tokenizer.normalizer), words = preTokenizer(tokenizer.pre_tokenizer), pieces = model(tokenizer.model)
  const some = (normalized, name) => new Map(tokenizer.added_tokens.filter(o => o.normalized === normalized).map(o => [name(o.content), o]).filter(o => o[0]))
  const raw = some(false, o => o), cooked = some(true, o => normal(aligned(o)).text), room = max_length - first.length - last.length

  // All tokens: id, letters, place in the text as typed, number of the word.
  function tokens(text) {
    const found = []
    let word = 0
    const add = (id, letters, a, i, j) => found.push({ id, letters, start: a.from[i], end: a.to[j - 1], word })
    function cutWords(a) {
      for (const b of words(a)) {
        if (!b.text) continue
        let at = 0
        for (const [id, size] of pieces(b.text)) { add(id, b.text.slice(at, at + size), b, at, at + size); at += size }
        word++
      }
    }
    for (const [a, token] of marked(aligned(text), raw)) for (const [b, inner] of token ? [[a, token]] : marked(normal(a), cooked)) {
      if (!b.text) continue
      if (inner) { add(inner.id, b.text, b, 0, b.text.length); word++ } else cutWords(b)
    }
    return found
  }

  // A byte-level tokenizer may count spaces as no part of a token, but for the one that it puts in before the first word.
  function trimmed(token, i, text) {
    const [before, after] = [/^[Ġ\p{White_Space}]*/u, /[Ġ\p{White_Space}]*$/u].map(o => token.letters.match(o)[0].length)
    const own = before === 1 && trim.prefix && (i === 0 || token.start === 0) ? 0 : before
    for (let n = 0; n < own; n++) token.start = Math.min(next(text, token.start), token.end)
    for (let n = 0; n < after; n++) token.end = Math.max(token.end - (text.codePointAt(token.end - 2) > 0xffff ? 2 : 1), token.start)
  }

  return function read(text) {
    const all = tokens(text), kept = all.slice(0, room), places = [], owner = []
    if (trim) kept.forEach((o, i) => trimmed(o, i, text))
    kept.forEach((o, i) => {
      if (i && kept[i - 1].word === o.word) places.at(-1).end = o.end
      else places.push({ start: o.start, end: o.end })
      owner.push(places.length - 1)
    })
    for (const o of places) while (/^\p{Mn}/u.test(text.slice(o.end, o.end + 2))) o.end = next(text, o.end) // an accent belongs to the letter before it
    return { ids: [...first, ...kept.map(o => o.id), ...last], owner: [...first.map(() => -1), ...owner, ...last.map(() => -1)],
             words: places.map(o => ({ text: text.slice(o.start, o.end), ...o })), truncated: all.length > room }
  }
}
