// What the page has to say by itself: what was asked for, what was refused. Said once, and read out.

import { Refused } from '../api/client'

export interface Notice {
  id: number
  text: string
  /** What the server says of it. */
  refused: Refused | null
  /** Where it goes on. */
  to: string | null
}

class Notices {
  list = $state<Notice[]>([])
  private next = 1

  say(text: string, to: string | null = null): void {
    this.add({ text, refused: null, to })
  }

  refuse(text: string, error: unknown): void {
    const refused = error instanceof Refused ? error : new Refused(0, 'internal', String(error), '', {}, null)
    this.add({ text, refused, to: null })
  }

  drop(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id)
  }

  private add(notice: Omit<Notice, 'id'>): void {
    const id = this.next++
    this.list = [...this.list.slice(-3), { ...notice, id }]
    // What was refused stays until it is put away: it has to be read.
    if (notice.refused === null) setTimeout(() => this.drop(id), 6000)
  }
}

export const notices = new Notices()
