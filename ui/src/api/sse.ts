// Server-Sent Events out of the bytes of an answer, and how long to wait before coming back.

/** One block of a stream. */
export interface Block {
  id: string | null
  event: string
  data: string
}

/** Cuts a stream into blocks, whatever the pieces it comes in. */
export class Blocks {
  private rest = ''
  private id: string | null = null
  private event = ''
  private data: string[] = []
  /** What the server asks to wait before coming back, milliseconds. */
  retry: number | null = null

  /** Takes a piece; gives the blocks that are whole now. A block without data only moves the id, and is given with `data` empty. */
  push(piece: string): Block[] {
    const blocks: Block[] = []
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      const block = this.line(line)
      if (block !== null) blocks.push(block)
    }
    return blocks
  }

  private line(line: string): Block | null {
    if (line === '') {
      const block = { id: this.id, event: this.event || 'message', data: this.data.join('\n') }
      const is_empty = this.data.length === 0 && this.id === null
      this.id = null
      this.event = ''
      this.data = []
      return is_empty ? null : block
    }
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'id') this.id = value
    else if (name === 'event') this.event = value
    else if (name === 'data') this.data.push(value)
    else if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value)
    return null
  }
}

/** How long to wait before attempt number `failures` (from 1), milliseconds: doubled each time up to half a minute, and spread by `chance`
 * (0 to 1), so that many pages do not come back to a restarted server in the same moment. */
export function pause(failures: number, chance: number, first = 1000): number {
  const whole = Math.min(first * 2 ** Math.max(0, failures - 1), 30_000)
  return Math.round(whole * (0.5 + chance / 2))
}
