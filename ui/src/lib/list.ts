// The list of apps: what is shown of it, and in which order.

import type { Wire } from '../api/client'

export type App = Wire<'App'>
export type Column = 'hostname' | 'status' | 'catalog_id' | 'place' | 'memory' | 'state_changed_at'
export interface Order {
  column: Column
  /** Largest first. */
  down: boolean
}

/** What needs a person comes first. */
export const STATUSES: Wire<'AppStatus'>[] = ['error', 'deploying', 'adopting', 'cloning', 'updating', 'removing', 'running', 'stopped']

/** Whether an app is on its way from one state to another. */
export function isMoving(app: App): boolean {
  return !['running', 'stopped', 'error'].includes(app.status)
}

const KEYS: Record<Column, (app: App) => string | number> = {
  hostname: (app) => app.hostname,
  status: (app) => STATUSES.indexOf(app.status),
  catalog_id: (app) => app.catalog_id,
  place: (app) => `${app.host.label}/${app.node}`,
  memory: (app) => app.config.memory,
  state_changed_at: (app) => app.state_changed_at,
}

/** Those of this status whose name, entry or place has the text; in order, and of equals by name. */
export function chosen(apps: App[], text: string, status: string, order: Order): App[] {
  const wanted = text.trim().toLowerCase()
  const has = (app: App): boolean =>
    wanted === '' || [app.hostname, app.catalog_id, app.node, app.host.label, String(app.vmid ?? '')].some((word) => word.toLowerCase().includes(wanted))
  const key = KEYS[order.column]
  const sign = order.down ? -1 : 1
  return apps
    .filter((app) => (status === '' || app.status === status) && has(app))
    .map((app) => ({ app, key: key(app) }))
    .sort((a, b) => sign * compare(a.key, b.key) || compare(a.app.hostname, b.app.hostname))
    .map(({ app }) => app)
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** How many have each status. */
export function counted(apps: App[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const app of apps) counts[app.status] = (counts[app.status] ?? 0) + 1
  return counts
}

/** What can be asked of all of these at once. */
export function bulkActions(apps: App[]): ('start' | 'stop' | 'restart')[] {
  const every = (status: string): boolean => apps.length > 0 && apps.every((app) => app.status === status)
  if (every('stopped')) return ['start']
  if (every('running')) return ['restart', 'stop']
  return []
}
