// Messages with values in them.

/** `{name}` is a value, `{n|one|other}` a choice by the plural that the language has for the number `n`. */
export function filled(message: string, values: Record<string, string | number>, language: string): string {
  return message.replace(/\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}/g, (whole, name: string, one?: string, other?: string) => {
    const value = values[name]
    if (value === undefined) return whole
    if (one === undefined || other === undefined) {
      return typeof value === 'number' ? new Intl.NumberFormat(language).format(value) : value
    }
    return new Intl.PluralRules(language).select(Number(value)) === 'one' ? one : other
  })
}

/** The names of a message's values, each once, in the order of the alphabet. */
export function valuesOf(message: string): string[] {
  const names = [...message.matchAll(/\{(\w+)(?:\|[^}]*)?\}/g)].map((found) => found[1] ?? '')
  return [...new Set(names)].sort()
}
