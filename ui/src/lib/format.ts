// Numbers, sizes and times as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** A number of bytes in the unit in which it is at least 1, with at most three digits that mean something. */
export function bytes(count: number, language: string): { number: string; unit: string } {
  let unit = 0
  let left = count
  while (left >= 1024 && unit < UNITS.length - 1) {
    left /= 1024
    unit += 1
  }
  const digits = left < 10 && unit > 0 ? 1 : 0
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(left)
  return { number, unit: UNITS[unit] ?? 'B' }
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
]

/** How far a moment is from now, in the largest unit of which there is a whole one. */
export function distance(at: number, now: number, language: string): string {
  const away = at - now
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' })
  for (const [unit, size] of STEPS) {
    if (Math.abs(away) >= size) return format.format(Math.trunc(away / size), unit)
  }
  return format.format(0, 'second')
}

/** A moment to the second, with its zone. */
export function exact(at: number, language: string, zone?: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'long', timeZone: zone }).format(at)
}

/** A span in two units at most, e.g. `3 min 20 s`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 60) return `${s} s`
  if (s < 3600) return s % 60 === 0 ? `${s / 60} min` : `${Math.floor(s / 60)} min ${s % 60} s`
  const h = Math.floor(s / 3600)
  const min = Math.floor((s % 3600) / 60)
  if (h < 48) return min === 0 ? `${h} h` : `${h} h ${min} min`
  return `${Math.floor(h / 24)} d ${h % 24} h`
}

/** How much of a whole, 0 to 1; 0 where there is no whole. */
export function share(part: number | null | undefined, whole: number | null | undefined): number {
  if (part === null || part === undefined || !whole) return 0
  return Math.min(1, Math.max(0, part / whole))
}
