// All live apps, read once page by page and kept true by what is told: an event makes the page read the one app that it names.

import { api, Refused } from '../api/client'
import type { App } from './list'
import { live, type Told } from './live.svelte'

const PAGE = 200
/** How long events are gathered before the apps that they name are read, milliseconds. */
const GATHER = 200
/** Of more apps than these the whole list is read instead. */
const ONE_BY_ONE = 40
/** How many are read at the same time. */
const AT_ONCE = 6

class Apps {
  list = $state.raw<App[]>([])
  refused = $state.raw<Refused | null>(null)
  /** How many there are, by the server; more than the list has while it is read. */
  total = $state(0)
  /** Every page was read. */
  whole = $state(false)
  private byId = new Map<string, App>()
  private changed = new Set<string>()
  private timer: ReturnType<typeof setTimeout> | null = null
  private stop: AbortController | null = null
  private unfollow: (() => void) | null = null

  begin(): void {
    if (this.unfollow !== null) return
    this.unfollow = live.follow(
      (events) => this.told(events),
      () => void this.again(),
    )
    void live.ready().then(() => (this.unfollow === null ? undefined : this.again()))
  }

  end(): void {
    this.unfollow?.()
    this.unfollow = null
    this.stop?.abort()
    this.byId.clear()
    this.changed.clear()
    this.list = []
    this.total = 0
    this.whole = false
    this.refused = null
  }

  /** The live app of this name or id. */
  find(name: string): App | undefined {
    return this.byId.get(name) ?? this.list.find((app) => app.hostname === name)
  }

  /** Takes what an answer said of an app. */
  put(app: App): void {
    this.byId.set(app.id, app)
    this.show()
  }

  /** Reads everything anew; what is there stays until it is replaced. */
  async again(): Promise<void> {
    this.stop?.abort()
    const stop = new AbortController()
    this.stop = stop
    const seen = new Map<string, App>()
    try {
      let after: string | undefined
      do {
        const page = await api.get('/api/apps/', { query: { limit: PAGE, after }, signal: stop.signal })
        for (const app of page.apps) seen.set(app.id, app)
        after = page.next ?? undefined
        this.total = page.total
        if (!this.whole) this.take(seen)
      } while (after !== undefined)
      this.take(seen)
      this.whole = true
      this.refused = null
    } catch (error) {
      if (stop.signal.aborted) return
      if (error instanceof Refused) this.refused = error
      else throw error
    }
  }

  private take(seen: Map<string, App>): void {
    this.byId = new Map(seen)
    this.show()
  }

  private show(): void {
    this.list = [...this.byId.values()]
    this.total = Math.max(this.whole ? 0 : this.total, this.list.length)
  }

  private told(events: Told[]): void {
    for (const event of events) if (event.app_id) this.changed.add(event.app_id)
    if (this.changed.size === 0 || this.timer !== null) return
    this.timer = setTimeout(() => {
      this.timer = null
      void this.readChanged()
    }, GATHER)
  }

  private async readChanged(): Promise<void> {
    const ids = [...this.changed]
    this.changed.clear()
    if (ids.length > ONE_BY_ONE) return this.again()
    const readers = Array.from({ length: Math.min(AT_ONCE, ids.length) }, async () => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) await this.readOne(id)
    })
    await Promise.all(readers)
    this.show()
  }

  private async readOne(id: string): Promise<void> {
    try {
      this.byId.set(id, await api.get('/api/apps/{app}', { path: { app: id } }))
    } catch (error) {
      // Removed, or taken out of sight. Anything else is told by the next event, or where it is looked at.
      if (error instanceof Refused && error.status === 404) this.byId.delete(id)
    }
  }
}

export const apps = new Apps()
