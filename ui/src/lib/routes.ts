// Which page is at which path.

export type PageName = 'dashboard' | 'store' | 'wizard' | 'apps' | 'app' | 'adopt' | 'hosts' | 'catalog' | 'operations' | 'operation' | 'settings' | 'nowhere'

export interface Place {
  page: PageName
  params: Record<string, string>
}

const TABLE: [string, PageName][] = [
  ['/', 'dashboard'],
  ['/store', 'store'],
  ['/store/:entry', 'wizard'],
  ['/apps', 'apps'],
  ['/apps/:app', 'app'],
  ['/adopt', 'adopt'],
  ['/hosts', 'hosts'],
  ['/catalog', 'catalog'],
  ['/operations', 'operations'],
  ['/operations/:id', 'operation'],
  ['/settings', 'settings'],
]

/** The page at a path; `nowhere` if there is none. A slash at the end makes no difference. */
export function placeOf(path: string): Place {
  const parts = split(path)
  for (const [pattern, page] of TABLE) {
    const params = matched(split(pattern), parts)
    if (params !== null) return { page, params }
  }
  return { page: 'nowhere', params: {} }
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '')
}

function matched(pattern: string[], parts: string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null
  const params: Record<string, string> = {}
  for (const [at, wanted] of pattern.entries()) {
    const part = parts[at] ?? ''
    if (wanted.startsWith(':')) {
      try {
        params[wanted.slice(1)] = decodeURIComponent(part)
      } catch {
        return null
      }
    } else if (wanted !== part) return null
  }
  return params
}
