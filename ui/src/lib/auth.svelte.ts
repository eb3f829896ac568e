// Who is signed in. All that knows how is in this file: today the token of the API, in this tab alone. Sessions with a cookie need another
// `signIn`, `headers` with `X-CSRF-Token`, and nothing else of the page.

import { Refused, type Credentials, settled } from '../api/client'

const KEPT = 'proximity.token'

export type Standing = 'out' | 'in'

class Auth implements Credentials {
  /** Whether anybody is signed in. */
  standing = $state<Standing>('out')
  /** True after the server took no longer what was taken before. */
  ended = $state(false)
  private token: string | null = null

  constructor() {
    try {
      this.token = sessionStorage.getItem(KEPT)
    } catch {
      // Storage that is shut off: signed in until the page is loaded anew.
    }
    if (this.token !== null) this.standing = 'in'
  }

  headers(_method: string): Record<string, string> {
    return this.token === null ? {} : { authorization: `Bearer ${this.token}` }
  }

  refused(): void {
    if (this.standing !== 'in') return
    this.signOut()
    this.ended = true
  }

  /** Tries the token at the server; throws what the server says of it. */
  async signIn(token: string): Promise<void> {
    const sent = token.trim()
    // A header takes nothing else; no token has anything else in it.
    if (!/^[!-~]+$/.test(sent)) throw new Refused(401, 'unauthorized', '', '', {}, null)
    const headers = { accept: 'application/json', authorization: `Bearer ${sent}` }
    let answer: Response
    try {
      answer = await fetch('/api/stats', { headers, credentials: 'same-origin' })
    } catch {
      throw new Refused(0, 'unreachable', '', '', {}, null)
    }
    await settled(answer)
    this.token = sent
    this.ended = false
    this.standing = 'in'
    try {
      sessionStorage.setItem(KEPT, sent)
    } catch {
      // As above.
    }
  }

  signOut(): void {
    this.token = null
    this.standing = 'out'
    try {
      sessionStorage.removeItem(KEPT)
    } catch {
      // As above.
    }
  }
}

export const auth = new Auth()
