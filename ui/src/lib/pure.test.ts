import { describe, expect, it } from 'vitest'
import type { Wire } from '../api/client'
import { eventTone, isOfNote, spoken } from './events'
import { filled, valuesOf } from './filled'
import { best, fit } from './find'
import { bytes, distance, exact, share, span } from './format'
import { environment, freeHostname, isAsked, isHostname, wrongWith, type Setting } from './inputs'
import { wishOf } from './keys'
import { bulkActions, chosen, counted, type App } from './list'
import { placeOf } from './routes'
import { shown } from './rows'
import { command, deployCommand, deployDocument, quoted, scalar } from './same'

describe('routes', () => {
  it('find a page and its parameters', () => {
    expect(placeOf('/')).toEqual({ page: 'dashboard', params: {} })
    expect(placeOf('/apps/web%20x/')).toEqual({ page: 'app', params: { app: 'web x' } })
    expect(placeOf('/apps/a/b').page).toBe('nowhere')
    expect(placeOf('/apps/%ff').page).toBe('nowhere')
  })
})

describe('messages with values', () => {
  it('count as the language does', () => {
    const text = '{n} {n|app|apps} on {host}'
    expect(filled(text, { n: 1, host: 'a' }, 'en')).toBe('1 app on a')
    expect(filled(text, { n: 1000, host: 'a' }, 'en')).toBe('1,000 apps on a')
    expect(filled(text, { n: 1000, host: 'a' }, 'de')).toBe('1.000 apps on a')
    expect(filled('{missing}', {}, 'en')).toBe('{missing}')
    expect(valuesOf(text)).toEqual(['host', 'n'])
  })
})

describe('numbers and times', () => {
  it('are in the unit in which they are at least 1', () => {
    expect(bytes(1023, 'en')).toEqual({ number: '1,023', unit: 'B' })
    expect(bytes(1536 * 1024 * 1024, 'en')).toEqual({ number: '1.5', unit: 'GiB' })
    expect(bytes(1536 * 1024 * 1024, 'de')).toEqual({ number: '1,5', unit: 'GiB' })
  })
  it('say how long ago', () => {
    expect(distance(0, 3 * 60_000 + 5, 'en')).toBe('3 min. ago')
    expect(distance(0, 10, 'en')).toBe('now')
    expect(distance(90_000_000, 0, 'en')).toBe('tomorrow')
    expect(exact(0, 'en', 'UTC')).toContain('Jan 1, 1970')
  })
  it('have two units at most', () => {
    expect([400, 59_400, 200_000, 3_600_000, 93_600_000, 262_800_000].map(span)).toEqual(['0 s', '59 s', '3 min 20 s', '1 h', '26 h', '3 d 1 h'])
  })
  it('are a share of something', () => {
    expect(share(1, 4)).toBe(0.25)
    expect(share(5, 4)).toBe(1)
    expect(share(null, 4)).toBe(0)
    expect(share(1, 0)).toBe(0)
  })
})

describe('rows', () => {
  it('are few of many, and take the room of all', () => {
    const part = shown(10_000, 40, 200_000, 900)
    expect(part.end - part.first).toBeLessThanOrEqual(60)
    expect(part.before + (part.end - part.first) * 40 + part.behind).toBe(400_000)
    expect(part.first).toBeLessThanOrEqual(5000)
    expect(part.end).toBeGreaterThan(5022)
  })
  it('stay within what there is', () => {
    expect(shown(3, 40, -300, 900)).toEqual({ first: 0, end: 3, before: 0, behind: 0 })
    expect(shown(0, 40, 0, 900)).toEqual({ first: 0, end: 0, before: 0, behind: 0 })
    expect(shown(3, 40, 9000, 900)).toEqual({ first: 3, end: 3, before: 120, behind: 0 })
  })
})

describe('finding', () => {
  it('takes beginnings before words before parts before letters', () => {
    const names = ['my-web', 'web', 'cobweb', 'wide-bend', 'other']
    expect(best('web', names, (name) => name, 9)).toEqual(['web', 'my-web', 'cobweb', 'wide-bend'])
    expect(fit('xyz', 'web')).toBe(0)
    expect(best('', names, (name) => name, 2)).toEqual(['my-web', 'web'])
  })
})

const SETTINGS = [
  { name: 'database', kind: 'choice', required: true, summary: '', env: 'DB', options: ['sqlite', 'postgres'], default: 'sqlite' },
  { name: 'address', kind: 'text', required: true, summary: '', env: 'A', shown_when: { setting: 'database', equals: 'postgres' } },
  { name: 'password', kind: 'secret', required: true, generated: true, summary: '', env: 'P' },
  { name: 'port', kind: 'port', required: false, summary: '', env: 'X' },
  { name: 'folder', kind: 'path', required: false, summary: '', env: 'F' },
  { name: 'public', kind: 'boolean', required: false, summary: '', env: 'B', default: 'false' },
] satisfies Setting[]
const setting = (name: string): Setting => SETTINGS.find((one) => one.name === name) as Setting

describe('settings', () => {
  it('are asked for by what the others have', () => {
    expect(isAsked(setting('address'), SETTINGS, {})).toBe(false)
    expect(isAsked(setting('address'), SETTINGS, { database: 'postgres' })).toBe(true)
  })
  it('are judged by their kind', () => {
    expect(wrongWith(setting('address'), {})).toBe('required')
    expect(wrongWith(setting('password'), {})).toBeNull()
    expect(wrongWith(setting('database'), { database: 'mysql' })).toBe('choice')
    for (const bad of ['0', '65536', '-1', '1.5', 'x']) expect(wrongWith(setting('port'), { port: bad })).toBe('port')
    expect(wrongWith(setting('port'), { port: '65535' })).toBeNull()
    for (const bad of ['a', '/a/', '/a//b', '/a/../b', '/.']) expect(wrongWith(setting('folder'), { folder: bad })).toBe('path')
    for (const good of ['/', '/a', '/a/b.c', '/...']) expect(wrongWith(setting('folder'), { folder: good })).toBeNull()
  })
  it('are sent as their kind, and only where they were typed and are asked for', () => {
    const typed = { database: 'sqlite', address: 'left over', port: '80', public: 'true', password: 's' }
    expect(environment(SETTINGS, typed)).toEqual({ port: 80, public: true, password: 's' })
  })
  it('have a host name that is free', () => {
    expect(freeHostname('nginx', new Set(['nginx', 'nginx-2']))).toBe('nginx-3')
    expect(isHostname(freeHostname('a', new Set()))).toBe(true)
    for (const bad of ['ab', 'Web', '-web', 'web-', 'w b', 'a'.repeat(64)]) expect(isHostname(bad)).toBe(false)
    expect(isHostname('a'.repeat(63))).toBe(true)
  })
})

describe('the same elsewhere', () => {
  const request: Wire<'CreateApp'> = {
    catalog_id: 'nginx',
    hostname: 'web',
    host: 'home',
    config: { memory: 512, cores: null },
    environment: { title: "It's: mine", password: 'hush', port: 80, flag: 'true' },
  }
  const secrets = new Set(['password'])
  it('is a command that a shell takes as one, without a secret in it', () => {
    const text = deployCommand(request, secrets)
    expect(text).toBe("proximity deploy nginx web --memory 512 --host home --set 'title=It'\\''s: mine' --set-file password=FILE --set port=80 --set flag=true")
    expect(text).not.toContain('hush')
  })
  it('is a document, without a secret in it', () => {
    const text = deployDocument(request, secrets)
    expect(text).toBe(
      'apiVersion: proximity/v1\nkind: App\nmetadata:\n  name: web\nspec:\n  catalog_id: nginx\n  host: home\n  resources:\n    memory_mib: 512\n' +
        '  settings:\n    title: "It\'s: mine"\n    password: {secret: web-password}\n    port: 80\n    flag: "true"\n',
    )
  })
  it('quotes what could be read otherwise', () => {
    expect([quoted('a-b'), quoted(''), quoted('$(x)')]).toEqual(['a-b', "''", "'$(x)'"])
    expect([scalar('on'), scalar('1.2'), scalar('a b'), scalar('web'), scalar(3)]).toEqual(['"on"', '"1.2"', '"a b"', 'web', '3'])
    expect(command('stop', false, null, 'web')).toBe('proximity stop web')
  })
})

function app(hostname: string, status: Wire<'AppStatus'>, memory = 512): App {
  return { hostname, status, catalog_id: 'nginx', node: 'pve1', host: { id: 'h', label: 'home' }, config: { memory, cores: 1, disk: 4 }, state_changed_at: '2026-01-01T00:00:00Z', vmid: 101 } as App
}

describe('the list of apps', () => {
  const all = [app('b', 'running', 1024), app('a', 'stopped'), app('c', 'error')]
  const names = (apps: App[]): string => apps.map((one) => one.hostname).join('')
  it('has what needs a person first, and is ordered by anything', () => {
    expect(names(chosen(all, '', '', { column: 'status', down: false }))).toBe('cba')
    expect(names(chosen(all, '', '', { column: 'hostname', down: true }))).toBe('cba')
    expect(names(chosen(all, '', '', { column: 'memory', down: false }))).toBe('acb')
  })
  it('is searched and narrowed', () => {
    expect(names(chosen(all, 'C', '', { column: 'hostname', down: false }))).toBe('c')
    expect(names(chosen(all, '101', 'running', { column: 'hostname', down: false }))).toBe('b')
    expect(counted(all)).toEqual({ running: 1, stopped: 1, error: 1 })
  })
  it('knows what can be asked of several', () => {
    expect(bulkActions([app('a', 'stopped'), app('b', 'stopped')])).toEqual(['start'])
    expect(bulkActions(all)).toEqual([])
    expect(bulkActions([])).toEqual([])
  })
  it('orders ten thousand at once', () => {
    const many = Array.from({ length: 10_000 }, (_, at) => app(`app-${at}`, at % 2 === 0 ? 'running' : 'stopped'))
    expect(chosen(many, 'app-99', 'running', { column: 'hostname', down: false })).toHaveLength(55)
  })
})

describe('keys', () => {
  it('are single, or two after each other, and never while somebody types', () => {
    expect(wishOf('k', null, true, true)).toBe('palette')
    expect(wishOf('a', 'g', false, false)).toEqual({ to: '/apps' })
    expect(wishOf('a', null, false, false)).toBeNull()
    expect(wishOf('/', null, false, false)).toBe('search')
    expect(wishOf('?', null, false, true)).toBeNull()
    expect(wishOf('o', null, false, false)).toBe('operations')
  })
})

describe('events', () => {
  it('are as grave as the reference says', () => {
    expect(eventTone('OperationGotStuck').tone).toBe('bad')
    expect(eventTone('AppDeployFailed').tone).toBe('warn')
    expect(eventTone('AppStarted').tone).toBe('good')
    expect(eventTone('SomethingNew').tone).toBe('still')
    expect(spoken('AppDeployFailed')).toBe('App deploy failed')
  })
  it('leave out the steps of operations', () => {
    const of = (kind: string): boolean => isOfNote({ kind } as Wire<'Event'>)
    expect(['OperationProgressed', 'ResourceUpdated', 'AppStatusChanged'].some(of)).toBe(false)
    expect(['OperationGotStuck', 'AppStarted', 'AnomalousOrphanDetected'].every(of)).toBe(true)
  })
})
