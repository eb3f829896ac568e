// Where the page is, by the address bar.

import { placeOf, type Place } from './routes'

class Router {
  path = $state(location.pathname)
  search = $state(location.search)
  place: Place = $derived(placeOf(this.path))
  query = $derived(new URLSearchParams(this.search))

  /** Goes there; `replace` leaves no step back to where it was. */
  go(to: string, { replace = false } = {}): void {
    const before = this.path
    if (replace) history.replaceState(null, '', to)
    else history.pushState(null, '', to)
    this.read()
    if (this.path !== before) {
      scrollTo(0, 0)
      document.getElementById('main')?.focus({ preventScroll: true })
    }
  }

  /** Changes one value of the query; an empty one is left out. */
  set(name: string, value: string): void {
    const query = new URLSearchParams(this.search)
    if (value === '') query.delete(name)
    else query.set(name, value)
    const text = query.toString()
    this.go(text === '' ? this.path : `${this.path}?${text}`, { replace: true })
  }

  read(): void {
    this.path = location.pathname
    this.search = location.search
  }

  /** Follows links of the page and steps back and forth; gives back what ends that. */
  listen(): () => void {
    const back = (): void => this.read()
    const click = (event: MouseEvent): void => {
      const link = event.target instanceof Element ? event.target.closest('a') : null
      if (link === null || !isOurs(link, event)) return
      event.preventDefault()
      this.go(link.pathname + link.search)
    }
    addEventListener('popstate', back)
    document.addEventListener('click', click)
    return () => {
      removeEventListener('popstate', back)
      document.removeEventListener('click', click)
    }
  }
}

function isOurs(link: HTMLAnchorElement, event: MouseEvent): boolean {
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) && !event.defaultPrevented
  const here = link.origin === location.origin && link.target === '' && !link.hasAttribute('download')
  return plain && here && !link.pathname.startsWith('/api') && link.hash === ''
}

export const router = new Router()
