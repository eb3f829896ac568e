// What docs/design/visual.md promises of colours, out of the tokens themselves.

import { describe, expect, it } from 'vitest'
import css from './look/tokens.css?raw'

const GROUNDS = ['paper', 'sheet', 'sunk', 'act-soft', 'warn-soft', 'bad-soft']
const TEXTS = ['ink', 'ink-2', 'act', 'good', 'move', 'warn', 'bad']

function tokens(block: string): Record<string, string> {
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((found) => [found[1] ?? '', found[2] ?? '']))
}

function light(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [light(a), light(b)].sort((one, other) => other - one)
  return (high + 0.05) / (low + 0.05)
}

const blocks = css.split('\n}\n')
const day = tokens(blocks.find((block) => block.includes('color-scheme: light;')) ?? '')
const night = tokens(blocks.find((block) => block.includes(":root[data-theme='dark']")) ?? '')

describe('colours', () => {
  it('are the same at night, whether the system or somebody wants it dark', () => {
    const bySystem = tokens(blocks.find((block) => block.includes('prefers-color-scheme: dark')) ?? '')
    expect(bySystem).toEqual(night)
    expect(Object.keys(night).sort()).toEqual(Object.keys(day).sort())
    expect(Object.keys(day).length).toBeGreaterThan(15)
  })
  it.each([
    ['day', day],
    ['night', night],
  ])('can be read on every ground by %s', (_, theme) => {
    for (const ground of GROUNDS) {
      for (const text of TEXTS) expect(contrast(theme[text] ?? '', theme[ground] ?? ''), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5)
      expect(contrast(theme['line-strong'] ?? '', theme[ground] ?? ''), `a border on ${ground}`).toBeGreaterThanOrEqual(3)
    }
    expect(contrast(theme['act-ink'] ?? '', theme.act ?? '')).toBeGreaterThanOrEqual(4.5)
  })
})
