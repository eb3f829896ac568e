import { afterEach, describe, expect, it, vi } from 'vitest'
import { address, api, Refused, refusal, use } from './client'

afterEach(() => {
  vi.unstubAllGlobals()
  use({ headers: () => ({}), refused: () => undefined })
})

function answering(status: number, body: string, seen: Request[] = []): void {
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    seen.push(new Request(new URL(url, 'http://server.example'), init))
    return Promise.resolve(new Response(body === '' ? null : body, { status, headers: { 'x-request-id': 'r-1' } }))
  })
}

describe('address', () => {
  it('puts parameters in so that they stay one part of the path', () => {
    expect(address('/api/apps/{app}/logs', { app: 'a/b c' }, undefined)).toBe('/api/apps/a%2Fb%20c/logs')
  })
  it('leaves out what is absent', () => {
    expect(address('/api/apps/', undefined, { search: '', after: undefined, limit: 200 })).toBe('/api/apps/?limit=200')
  })
})

describe('a call', () => {
  it('sends who asks, the body, and the key', async () => {
    const seen: Request[] = []
    answering(202, '{"id":"1"}', seen)
    use({ headers: (method) => ({ authorization: `Bearer ${method}` }), refused: () => undefined })
    await api.post('/api/apps/', { body: { catalog_id: 'nginx', hostname: 'web' }, key: 'k-1' })
    const sent = seen[0]
    expect(sent?.headers.get('authorization')).toBe('Bearer POST')
    expect(sent?.headers.get('idempotency-key')).toBe('k-1')
    expect(await sent?.json()).toEqual({ catalog_id: 'nginx', hostname: 'web' })
  })
  it('gives nothing where the answer has nothing', async () => {
    answering(204, '')
    expect(await api.delete('/api/secrets/{secret}', { path: { secret: 'x' } })).toBeUndefined()
  })
  it('throws what the server says, with its next step', async () => {
    const refused = vi.fn()
    use({ headers: () => ({}), refused })
    answering(401, '{"error":{"code":"unauthorized","message":"m","hint":"h","fields":{"a":"b"}}}')
    const error = await api.get('/api/stats').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Refused)
    expect(error).toMatchObject({ status: 401, code: 'unauthorized', message: 'm', hint: 'h', fields: { a: 'b' }, request: 'r-1' })
    expect(refused).toHaveBeenCalledOnce()
  })
  it('tells no answer from an answer of somebody else', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('network')))
    await expect(api.get('/api/stats')).rejects.toMatchObject({ status: 0, code: 'unreachable' })
    answering(502, '<html>Bad Gateway</html>')
    await expect(api.get('/api/stats')).rejects.toMatchObject({ status: 502, code: 'unreadable' })
    answering(200, '<html>Log in</html>')
    await expect(api.get('/api/stats')).rejects.toMatchObject({ status: 200, code: 'unreadable' })
  })
  it('lets an abort be an abort', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new DOMException('gone', 'AbortError')))
    await expect(api.get('/api/stats')).rejects.toMatchObject({ name: 'AbortError' })
  })
  it('is held against the description by the compiler', () => {
    const calls = (): unknown[] => [
      // @ts-expect-error -- there is no such path
      api.get('/api/nope'),
      // @ts-expect-error -- the app is missing
      api.get('/api/apps/{app}'),
      // @ts-expect-error -- it is called host name, and has no number
      api.post('/api/apps/', { body: { catalog_id: 'nginx', hostname: 1 } }),
      // @ts-expect-error -- an app has no such field
      api.get('/api/apps/{app}', { path: { app: 'a' } }).then((app) => app.nope),
    ]
    expect(calls).toBeTypeOf('function')
  })
})

describe('refusal', () => {
  it('takes a body that is none', () => {
    expect(refusal(500, null, null)).toMatchObject({ code: 'unreadable' })
    expect(refusal(500, { error: {} }, null)).toMatchObject({ code: 'unreadable' })
  })
})
