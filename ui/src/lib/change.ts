// What of an app somebody wants otherwise, as the request that asks for it.

import type { Wire } from '../api/client'
import { valueOf, type Setting, type Typed } from './inputs'

export interface Wanted {
  memory: string
  cores: string
  disk: string
  settings: Typed
}

function number(text: string, now: number): number | undefined {
  const whole = /^\d+$/.test(text.trim()) ? Number(text) : now
  return whole === now ? undefined : whole
}

/** Only what is otherwise than it is; `null` where nothing is. */
export function change(app: Wire<'App'>, all: Setting[], wanted: Wanted): Wire<'UpdateApp'> | null {
  const resources = {
    memory: number(wanted.memory, app.config.memory),
    cores: number(wanted.cores, app.config.cores),
    disk: number(wanted.disk, app.config.disk),
  }
  const now = app.environment as unknown as Record<string, unknown>
  const settings: Record<string, string | number | boolean> = {}
  for (const setting of all) {
    const typed = wanted.settings[setting.name]
    // A secret is never shown, so that an empty field says nothing.
    if (typed === undefined || (setting.kind === 'secret' && typed === '') || typed === current(setting, now)) continue
    if (setting.kind === 'boolean') settings[setting.name] = typed === 'true'
    else if ((setting.kind === 'integer' || setting.kind === 'port') && typed !== '') settings[setting.name] = Number(typed)
    else settings[setting.name] = typed
  }
  const changes = Object.values(resources).some((value) => value !== undefined)
  const sets = Object.keys(settings).length > 0
  if (!changes && !sets) return null
  return { ...(changes ? { resources } : {}), ...(sets ? { settings } : {}) }
}

/** What a setting has now, as text. */
export function current(setting: Setting, now: Record<string, unknown>): string {
  const value = now[setting.name]
  return value === undefined || value === null ? (setting.kind === 'secret' ? '' : valueOf(setting, {})) : String(value)
}
