// What happens, as it happens: one stream for the whole page, resumed where it broke off.

import { api, send, settled, Refused, type Wire } from '../api/client'
import { Blocks, pause } from '../api/sse'

export type Told = Wire<'Event'>
/** The server says every quarter of a minute that it lives; after so long without a word the line is taken for dead, milliseconds. */
const SILENCE = 45_000
/** A stream that ended in order after so long is followed by the next one at once, milliseconds. */
const LONG = 5000

type Listener = (events: Told[]) => void
type Lost = () => void

/** `live`: what is shown is so. `waiting`: the stream broke off, and comes back by itself. */
export type Line = 'off' | 'connecting' | 'live' | 'waiting'

class Live {
  line = $state<Line>('off')
  /** When the page comes back to the server, milliseconds since 1970; while `waiting`. */
  again_at = $state(0)
  private listeners = new Set<Listener>()
  private losses = new Set<Lost>()
  private last: string | null = null
  private failures = 0
  private stop: AbortController | null = null
  private wake: (() => void) | null = null
  private located: Promise<void> = Promise.resolve()

  /** Calls with all that is told, in order, until the function that is given back is called. `lost` is called where events may have been
   * missed, so that what is shown has to be read anew. */
  follow(listener: Listener, lost: Lost = () => undefined): () => void {
    this.listeners.add(listener)
    this.losses.add(lost)
    return () => {
      this.listeners.delete(listener)
      this.losses.delete(lost)
    }
  }

  start(): void {
    if (this.stop !== null) return
    this.stop = new AbortController()
    this.line = 'connecting'
    this.located = this.locate(this.stop.signal)
    void this.run(this.stop.signal)
  }

  /** Done once it is known from where on everything will be told: what is read after that, and kept true by what is told, misses nothing. */
  ready(): Promise<void> {
    return this.located
  }

  /** Where the log of events ends now. */
  private async locate(signal: AbortSignal): Promise<void> {
    try {
      const page = await api.get('/api/events', { query: { limit: 1 }, signal })
      if (!signal.aborted) this.last ??= String(page.next_after)
    } catch {
      // Whoever reads will be told why. The stream begins without a place then, and has everything read anew.
    }
  }

  end(): void {
    this.stop?.abort()
    this.stop = null
    this.last = null
    this.line = 'off'
  }

  /** Comes back at once. */
  now(): void {
    this.wake?.()
  }

  private async run(signal: AbortSignal): Promise<void> {
    await this.located
    while (!signal.aborted) {
      const begun = Date.now()
      try {
        await this.once(signal)
        if (Date.now() - begun >= LONG) continue
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof Refused && error.status === 401) return this.end()
        if (error instanceof Refused && (error.code === 'event_ahead' || error.code === 'event_cleared')) {
          this.last = null
          continue
        }
      }
      if (signal.aborted) return
      this.failures += 1
      const wait = pause(this.failures, Math.random())
      this.line = 'waiting'
      this.again_at = Date.now() + wait
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait)
        this.wake = () => {
          clearTimeout(timer)
          resolve()
        }
        signal.addEventListener('abort', () => this.wake?.(), { once: true })
      })
      this.wake = null
    }
  }

  private async once(signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { accept: 'text/event-stream' }
    if (this.last !== null) headers['last-event-id'] = this.last
    const answer = await send('GET', '/api/events', { headers, signal })
    if (!answer.ok || answer.body === null) {
      await settled(answer)
      return
    }
    if (this.last === null) this.told_lost()
    this.line = 'live'
    this.failures = 0
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
    const blocks = new Blocks()
    for (;;) {
      const silent = setTimeout(() => void reader.cancel(), SILENCE)
      const { done, value } = await reader.read().finally(() => clearTimeout(silent))
      if (done) return
      const events: Told[] = []
      for (const block of blocks.push(value)) {
        if (block.id !== null) this.last = block.id
        if (block.data !== '') events.push(JSON.parse(block.data) as Told)
      }
      if (events.length > 0) for (const listener of [...this.listeners]) listener(events)
    }
  }

  private told_lost(): void {
    for (const lost of [...this.losses]) lost()
  }
}

export const live = new Live()
