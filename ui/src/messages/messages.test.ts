import { describe, expect, it } from 'vitest'
import { valuesOf } from '../lib/filled'
import de from './de.json'
import en from './en.json'

/** All sources of the page, but the tests and what is made. */
const SOURCES = import.meta.glob<string>(['../**/*.{svelte,ts}', '!../**/*.test.ts', '!../api/schema.ts'], { query: '?raw', import: 'default', eager: true })
/** Looked up by a label of the API, or by a word that is put together. */
const BY_LABEL = /^(status|operation|kind|step|step_state|preflight|event|finding|ssh|trust|drift_source|severity|act|asked|nav|theme|wrong|column|key)\./

describe('messages', () => {
  it('are the same in every language', () => {
    expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort())
  })
  it('take the same values in every language', () => {
    for (const [name, text] of Object.entries(en)) expect(valuesOf((de as Record<string, string>)[name] ?? ''), name).toEqual(valuesOf(text))
  })
  it('say something', () => {
    for (const messages of [en, de]) for (const [name, text] of Object.entries(messages)) expect(text.trim(), name).not.toBe('')
  })
  it('are all used', () => {
    const text = Object.values(SOURCES).join('\n')
    const unused = Object.keys(en).filter((name) => !BY_LABEL.test(name) && !text.includes(`'${name}'`))
    expect(unused).toEqual([])
  })
})
