// Keys: single ones, and two after each other (`g` then `a`).

/** What a key press asks for, given the key before it. Nothing while somebody types, or with a modifier but for the palette. */
export type Wish = 'palette' | 'help' | 'search' | 'operations' | { to: string }

const GO: Record<string, string> = { d: '/', s: '/store', a: '/apps', t: '/adopt', h: '/hosts', c: '/catalog', o: '/operations', e: '/settings' }

export function wishOf(key: string, before: string | null, modifier: boolean, typing: boolean): Wish | null {
  if (modifier) return key.toLowerCase() === 'k' ? 'palette' : null
  if (typing) return null
  if (before === 'g') {
    const to = GO[key]
    return to === undefined ? null : { to }
  }
  if (key === '?') return 'help'
  if (key === '/') return 'search'
  return key === 'o' ? 'operations' : null
}

/** All of them for the list that `?` shows: the keys, and the name of the message that says what they do. */
export const ALL_KEYS: [string, 'key.palette' | 'key.search' | 'key.operations' | 'key.help' | 'nav.dashboard' | 'nav.store' | 'nav.apps' | 'nav.adopt' | 'nav.hosts' | 'nav.catalog' | 'nav.operations' | 'nav.settings'][] = [
  ['Ctrl K', 'key.palette'],
  ['/', 'key.search'],
  ['o', 'key.operations'],
  ['?', 'key.help'],
  ['g d', 'nav.dashboard'],
  ['g s', 'nav.store'],
  ['g a', 'nav.apps'],
  ['g t', 'nav.adopt'],
  ['g h', 'nav.hosts'],
  ['g c', 'nav.catalog'],
  ['g o', 'nav.operations'],
  ['g e', 'nav.settings'],
]
