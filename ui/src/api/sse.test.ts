import { describe, expect, it } from 'vitest'
import { Blocks, pause } from './sse'

const STREAM = 'retry: 1000\nid: 7\n\n: alive\n\nid: 8\nevent: AppStarted\ndata: {"a":\ndata: 1}\n\nid: 9\r\ndata: x\r\n\r\n: alive\nid: 12\n\n'

describe('blocks', () => {
  it('are the same however the stream is cut', () => {
    const whole = new Blocks().push(STREAM)
    expect(whole).toEqual([
      { id: '7', event: 'message', data: '' },
      { id: '8', event: 'AppStarted', data: '{"a":\n1}' },
      { id: '9', event: 'message', data: 'x' },
      { id: '12', event: 'message', data: '' },
    ])
    for (const size of [1, 2, 3, 5, 7]) {
      const blocks = new Blocks()
      const cut = []
      for (let at = 0; at < STREAM.length; at += size) cut.push(...blocks.push(STREAM.slice(at, at + size)))
      expect(cut).toEqual(whole)
      expect(blocks.retry).toBe(1000)
    }
  })
  it('are not given before they are whole', () => {
    const blocks = new Blocks()
    expect(blocks.push('id: 1\ndata: x\n')).toEqual([])
    expect(blocks.push('\n')).toHaveLength(1)
  })
})

describe('pause', () => {
  it('grows, ends at half a minute, and is spread', () => {
    expect([1, 2, 3, 9].map((failures) => pause(failures, 1))).toEqual([1000, 2000, 4000, 30_000])
    expect(pause(1, 0)).toBe(500)
  })
})
