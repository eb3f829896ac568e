// Something that is read from the server and kept true by what is told: read once, read anew when an event concerns it, never by the clock.

import { Refused } from '../api/client'
import { live, type Told } from './live.svelte'

/** How long further events are gathered before it is read anew, milliseconds. */
const GATHER = 150

export class Reading<T> {
  value = $state.raw<T | null>(null)
  refused = $state.raw<Refused | null>(null)
  /** The first answer is still to come. */
  busy = $state(true)
  private stop: AbortController | null = null
  private timer: ReturnType<typeof setTimeout> | null = null
  private unfollow: (() => void) | null = null

  constructor(
    private readonly read: (signal: AbortSignal) => Promise<T>,
    private readonly concerns: (event: Told) => boolean = () => false,
  ) {}

  /** Reads, and follows from then on. Gives back what ends it: just what `$effect` wants. */
  begin(): () => void {
    this.unfollow = live.follow(
      (events) => {
        if (events.some(this.concerns)) this.soon()
      },
      () => this.soon(),
    )
    let ended = false
    void live.ready().then(() => (ended ? undefined : this.again()))
    return () => {
      ended = true
      this.unfollow?.()
      this.stop?.abort()
      if (this.timer !== null) clearTimeout(this.timer)
    }
  }

  soon(): void {
    if (this.timer !== null) return
    this.timer = setTimeout(() => {
      this.timer = null
      void this.again()
    }, GATHER)
  }

  /** Reads now. What was shown stays until the answer is there. */
  async again(): Promise<void> {
    this.stop?.abort()
    const stop = new AbortController()
    this.stop = stop
    try {
      const value = await this.read(stop.signal)
      if (stop.signal.aborted) return
      this.value = value
      this.refused = null
    } catch (error) {
      if (stop.signal.aborted) return
      this.refused = error instanceof Refused ? error : new Refused(0, 'internal', String(error), '', {}, null)
    }
    this.busy = false
  }
}

/** Whether an event is about this app, by id or by host name. */
export function about(app: string, event: Told): boolean {
  const body = event.body as { hostname?: string } | null
  return event.app_id === app || body?.hostname === app
}
