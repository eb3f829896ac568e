// The settings of an entry: which are asked for, and what is wrong with what was typed.

import type { Wire } from '../api/client'

export type Setting = Wire<'CatalogSetting'>
/** What was typed, by the setting's name; absent = untouched. */
export type Typed = Record<string, string>

/** What a setting has now: what was typed, else its own value. */
export function valueOf(setting: Setting, typed: Typed): string {
  return typed[setting.name] ?? setting.default ?? ''
}

/** Whether a setting is asked for, by what the others have. */
export function isAsked(setting: Setting, all: Setting[], typed: Typed): boolean {
  const when = setting.shown_when
  if (!when) return true
  const other = all.find((one) => one.name === when.setting)
  return other !== undefined && isAsked(other, all, typed) && valueOf(other, typed) === when.equals
}

/** What is wrong with one setting: `null` if nothing is. The server judges once more. */
export type Wrong = 'required' | 'integer' | 'port' | 'path' | 'choice'

export function wrongWith(setting: Setting, typed: Typed): Wrong | null {
  const value = valueOf(setting, typed).trim()
  if (value === '') return setting.required && !setting.generated ? 'required' : null
  switch (setting.kind) {
    case 'integer':
      return /^-?\d+$/.test(value) ? null : 'integer'
    case 'port':
      return /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535 ? null : 'port'
    case 'path':
      return isPath(value) ? null : 'path'
    case 'choice':
      return (setting.options ?? []).includes(value) ? null : 'choice'
    default:
      return null
  }
}

/** A whole path, in its shortest form. */
function isPath(value: string): boolean {
  const parts = value.slice(1).split('/')
  return value === '/' || (value.startsWith('/') && parts.every((part) => part !== '' && part !== '.' && part !== '..'))
}

/** What goes into the request: only what was typed and is asked for, as the kind wants it. */
export function environment(all: Setting[], typed: Typed): Record<string, string | number | boolean> {
  const given: Record<string, string | number | boolean> = {}
  for (const setting of all) {
    const value = typed[setting.name]
    if (value === undefined || value === '' || value === setting.default || !isAsked(setting, all, typed)) continue
    if (setting.kind === 'boolean') given[setting.name] = value === 'true'
    else if (setting.kind === 'integer' || setting.kind === 'port') given[setting.name] = Number(value)
    else given[setting.name] = value
  }
  return given
}

/** Whether a container may be called so. */
export function isHostname(name: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/.test(name)
}

/** A host name for an entry that no app has: its id, else that with the first free number. */
export function freeHostname(entry: string, taken: Set<string>): string {
  const base = entry.length >= 3 ? entry : `${entry}-app`
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`
    if (!taken.has(name)) return name
  }
}
