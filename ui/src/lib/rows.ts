// Which rows of a long table are in the document.

export interface Shown {
  first: number
  /** One behind the last. */
  end: number
  /** What the rows before and behind would take, pixels. */
  before: number
  behind: number
}

/** The rows that can be seen, and some more on both sides. `top` is how far the table's first row is above the upper edge of what can be
 * seen, which is negative while it is below it. */
export function shown(count: number, row: number, top: number, height: number, more = 12): Shown {
  const first = Math.min(Math.max(0, Math.floor(top / row) - more), count)
  const end = Math.max(first, Math.min(count, Math.ceil((top + height) / row) + more))
  return { first, end, before: first * row, behind: (count - end) * row }
}
