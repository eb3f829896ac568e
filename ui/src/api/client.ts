// The API, as docs/reference/openapi.json describes it: paths, parameters, bodies and answers are checked by the compiler.

import type { components, paths } from './schema'

/** A type of the API by its name. */
export type Wire<Name extends keyof components['schemas']> = components['schemas'][Name]

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, infer O> ? (O extends undefined ? never : P) : never
}[keyof paths]
type Of<P extends keyof paths, M extends Method> = paths[P][M]
type Json<T> = T extends { content: { 'application/json': infer J } } ? J : undefined
type Success<O> = O extends { responses: infer R } ? Json<R[keyof R & (200 | 201 | 202 | 204)]> : never
type PathOf<O> = O extends { parameters: { path: infer X } } ? { path: X } : { path?: undefined }
type QueryOf<O> = O extends { parameters: { query?: infer X } } ? { query?: X } : { query?: undefined }
type BodyOf<O> = O extends { requestBody: { content: { 'application/json': infer X } } } ? { body: X } : { body?: undefined }
type Options<O> = PathOf<O> & QueryOf<O> & BodyOf<O> & Extra
type Extra = { signal?: AbortSignal; key?: string }

/** Why a request came to nothing. */
export class Refused extends Error {
  constructor(
    /** The status; 0 where no answer came. */
    readonly status: number,
    /** Stable; docs/reference/errors.md has all of them. `unreachable` and `unreadable` are the page's own. */
    readonly code: string,
    message: string,
    /** What to do next; empty where nothing is known. */
    readonly hint: string,
    /** What is wrong with which field of the request. */
    readonly fields: Record<string, string>,
    /** What the server's log calls the request. */
    readonly request: string | null,
  ) {
    super(message)
  }
}

/** What each request is sent with, and what happens where it is refused for want of it. */
export interface Credentials {
  headers(method: string): Record<string, string>
  refused(): void
}

let credentials: Credentials = { headers: () => ({}), refused: () => undefined }

/** Says who asks from now on. */
export function use(next: Credentials): void {
  credentials = next
}

/** A name for one request that may be sent twice. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** `/api/apps/{app}` with its parameters put in, and the query behind it. Values that are absent are left out. */
export function address(
  template: string,
  path: Record<string, unknown> | undefined,
  query: Record<string, unknown> | undefined,
): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path?.[name] ?? '')))
  const asked = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === null || value === '') continue
    asked.append(name, String(value))
  }
  const text = asked.toString()
  return text === '' ? filled : `${filled}?${text}`
}

/** What the server says in an answer that is no success. */
export function refusal(status: number, body: unknown, request: string | null): Refused {
  const told = (body as { error?: Partial<Wire<'ErrorBody'>> } | null)?.error
  if (told === undefined || typeof told.code !== 'string') {
    return new Refused(status, 'unreadable', `HTTP ${status}`, '', {}, request)
  }
  return new Refused(status, told.code, told.message ?? told.code, told.hint ?? '', { ...told.fields }, request)
}

/** Sends, and gives the answer whatever its status. Fails with `unreachable` where none comes; an abort stays an abort. */
export async function send(method: string, url: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
  try {
    const headers = { accept: 'application/json', ...credentials.headers(method), ...init.headers }
    return await fetch(url, { ...init, method, headers, credentials: 'same-origin' })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Refused(0, 'unreachable', '', '', {}, null)
  }
}

/** The answer's body where it is a success; else throws [`Refused`]. */
export async function settled(answer: Response): Promise<unknown> {
  const text = await answer.text()
  let body: unknown = null
  try {
    body = text === '' ? undefined : JSON.parse(text)
  } catch {
    // An answer of somebody between us and the server, most likely.
  }
  if (answer.ok && body !== null) return body
  if (answer.status === 401) credentials.refused()
  throw refusal(answer.status, body, answer.headers.get('x-request-id'))
}

async function call(method: Method, template: string, options: Extra & Record<string, unknown>): Promise<unknown> {
  const { path, query, body, key, signal } = options
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (key !== undefined) headers['idempotency-key'] = key
  const url = address(template, path as Record<string, unknown>, query as Record<string, unknown>)
  const answer = await send(method.toUpperCase(), url, {
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  })
  return settled(answer)
}

type Rest<O> = Record<never, never> extends Options<O> ? [options?: Options<O>] : [options: Options<O>]

type Caller<M extends Method> = <P extends PathsWith<M>>(path: P, ...rest: Rest<Of<P, M>>) => Promise<Success<Of<P, M>>>

function caller<M extends Method>(method: M): Caller<M> {
  // What the compiler knows of a call ends here; behind it every call is sent in the same way.
  const sent = (path: string, options: Extra & Record<string, unknown> = {}): Promise<unknown> => call(method, path, options)
  return sent as unknown as Caller<M>
}

/** One function for each method. */
export const api = {
  get: caller('get'),
  post: caller('post'),
  put: caller('put'),
  patch: caller('patch'),
  delete: caller('delete'),
}
