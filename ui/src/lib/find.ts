// Finding by a few letters.

/** How well a text answers what was typed: 0 = not at all; the letters have to be in it in that order, whole words and beginnings count more. */
export function fit(typed: string, text: string): number {
  const wanted = typed.trim().toLowerCase()
  const inside = text.toLowerCase()
  if (wanted === '') return 1
  const at = inside.indexOf(wanted)
  if (at === 0) return 100 - Math.min(50, inside.length - wanted.length)
  if (at > 0) return (/\W/.test(inside[at - 1] ?? '') ? 45 : 30) - Math.min(20, at)
  let from = 0
  let gaps = 0
  for (const letter of wanted.replaceAll(' ', '')) {
    const next = inside.indexOf(letter, from)
    if (next < 0) return 0
    gaps += next - from
    from = next + 1
  }
  return Math.max(1, 9 - gaps)
}

/** The best ones first, as many as asked for; of equals the order stays. */
export function best<T>(typed: string, all: T[], text: (one: T) => string, most: number): T[] {
  return all
    .map((one, at) => ({ one, at, fit: fit(typed, text(one)) }))
    .filter((found) => found.fit > 0)
    .sort((a, b) => b.fit - a.fit || a.at - b.at)
    .slice(0, most)
    .map((found) => found.one)
}
