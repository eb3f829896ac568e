// Every page is mounted in Node, against answers of the right types: it shows what it is for, and asks for what a person wants.

import { flushSync, mount, unmount } from 'svelte'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { use } from '../api/client'
import App from '../App.svelte'
import { app, FakeServer, initDone, initPlan, world } from '../fixtures/server'
import { auth } from '../lib/auth.svelte'
import { router } from '../lib/router.svelte'
import { words } from '../lib/words.svelte'

let server: FakeServer
let shown: Record<string, unknown> | null = null
const complaints = vi.fn()

async function open(path: string, apps = [app('web'), app('db', { status: 'stopped' }), app('old', { status: 'error', error: { code: 'gone', message: 'It is gone.', hint: 'Look.', since: '2026-01-01T00:00:00Z', was: 'running' } })]): Promise<void> {
  server = new FakeServer(world(apps))
  vi.stubGlobal('fetch', server.fetch)
  history.replaceState(null, '', path)
  router.read()
  shown = mount(App, { target: document.body })
  flushSync()
  await settle()
}

/** Until everything that was asked for is shown. */
const settle = (): Promise<void> => vi.waitFor(() => {
  flushSync()
  expect(document.body.textContent).not.toContain('Reading …')
})
const text = (): string => document.body.textContent?.replace(/\s+/g, ' ') ?? ''
const button = (name: string): HTMLButtonElement => {
  const found = [...document.querySelectorAll('button')].find((one) => one.textContent?.trim().startsWith(name))
  if (found === undefined) throw new Error(`no button ${name} in ${text()}`)
  return found
}
const field = (id: string): HTMLInputElement => document.getElementById(id) as HTMLInputElement
function type(id: string, value: string): void {
  field(id).value = value
  field(id).dispatchEvent(new Event('input', { bubbles: true }))
  flushSync()
}
function press(key: string, more: KeyboardEventInit = {}): void {
  window.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }))
  flushSync()
}

beforeEach(async () => {
  use(auth)
  vi.spyOn(console, 'error').mockImplementation(complaints)
  await words.choose('en', false)
  if (auth.standing === 'out') {
    vi.stubGlobal('fetch', new FakeServer(world([])).fetch)
    await auth.signIn('token')
  }
})

afterEach(async () => {
  if (shown !== null) await unmount(shown)
  shown = null
  document.body.replaceChildren()
  expect(complaints).not.toHaveBeenCalled()
  complaints.mockClear()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

describe('every page', () => {
  it.each([
    ['/', 'Overview', 'It is gone.'],
    ['/store', 'App store', 'A web server.'],
    ['/store/nginx', 'Deploy nginx', 'What the first page says.'],
    ['/apps', 'My apps', 'home/pve1'],
    ['/apps/id-web', 'web', '8100 public, 9100 internal'],
    ['/adopt', 'Adopt', 'home/pve1/200'],
    ['/hosts', 'Hosts', 'https://192.0.2.10:8006'],
    ['/catalog', 'Catalog', 'shipped'],
    ['/operations', 'Operations', 'failed, and undone'],
    ['/operations/o-1', 'Operation', 'There is no template.'],
    ['/settings', 'Settings', '8100–8999'],
    ['/nope', 'There is no such page', '/nope'],
  ])('%s shows what it is for, and asks nothing that is not there', async (path, title, content) => {
    await open(path)
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain(content)
    })
    expect(document.querySelectorAll('h1')).toHaveLength(1)
    expect(document.querySelector('h1')?.textContent).toBe(title)
    expect(text()).not.toContain('no_such_path')
    expect(document.querySelector('[style*="url"], [onclick]')).toBeNull()
    for (const input of document.querySelectorAll('input, select')) {
      const named = input.hasAttribute('aria-label') || (input.id !== '' && document.querySelector(`label[for="${input.id}"]`) !== null) || input.closest('label') !== null
      expect(named, input.outerHTML).toBe(true)
    }
  })
  it.each(['/', '/store', '/apps/id-web', '/settings'])('%s speaks German', async (path) => {
    await words.choose('de', false)
    await open(path)
    expect(document.querySelector('nav')?.textContent).toContain('Übersicht')
  })
})

describe('signing in', () => {
  it('takes the token that the server takes, and sends it from then on', async () => {
    auth.signOut()
    await open('/')
    expect(text()).toContain('Token of the API')
    type('token', 'secret-1')
    button('Sign in').form?.requestSubmit()
    await vi.waitFor(() => expect(text()).toContain('Overview'))
    await settle()
    expect(server.of('GET', '/api/apps/')[0]?.headers.get('authorization')).toBe('Bearer secret-1')
  })
  it('says so where the server does not know it', async () => {
    auth.signOut()
    await open('/')
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('{"error":{"code":"unauthorized","message":"m","hint":"h"}}', { status: 401 })))
    type('token', 'wrong')
    button('Sign in').form?.requestSubmit()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('This token is not known here.')
    })
    expect(field('token').getAttribute('aria-invalid')).toBe('true')
  })
  it('begins anew when the token is taken no longer', async () => {
    await open('/apps')
    auth.refused()
    flushSync()
    expect(text()).toContain('The server no longer takes the token')
  })
})

describe('deploying', () => {
  it('asks for what was typed, once, and goes to the app', async () => {
    await open('/store/nginx')
    button('Deploy').form?.requestSubmit()
    flushSync()
    expect(text()).toContain('It has to be given.')
    expect(server.of('POST', '/api/apps/')).toHaveLength(0)
    type('setting-title', 'Mine')
    type('setting-password', 'hush')
    type('hostname', 'web-2')
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('It goes to home/pve1.')
    })
    expect(text()).toContain('proximity deploy nginx web-2 --set title=Mine --set-file password=FILE')
    expect(document.querySelector('.same')?.textContent).not.toContain('hush')
    button('Deploy').form?.requestSubmit()
    await vi.waitFor(() => expect(location.pathname).toBe('/apps/id-nginx'))
    const [sent] = server.of('POST', '/api/apps/')
    expect(sent?.body).toEqual({ catalog_id: 'nginx', hostname: 'web-2', environment: { title: 'Mine', password: 'hush' } })
    expect(sent?.headers.get('idempotency-key')).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('my apps', () => {
  it('has few rows of ten thousand, finds any, and follows what happens', async () => {
    const many = Array.from({ length: 10_000 }, (_, at) => app(`app-${at}`))
    await open('/apps', many)
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('10,000 shown')
    })
    expect(document.querySelectorAll('tbody tr').length).toBeLessThanOrEqual(150)
    type('search', 'app-9999')
    expect(text()).toContain('1 shown')
    type('search', 'app-7777')
    server.answers['GET /api/apps/id-app-7777'] = app('app-7777', { status: 'stopped' })
    server.tell('AppStopped', 'app-7777')
    await vi.waitFor(() => {
      flushSync()
      expect(document.querySelector('a[href="/apps/id-app-7777"]')?.closest('tr')?.textContent ?? '').toContain('stopped')
    })
    // Of ten thousand apps the one that was named was read, and no other.
    expect(server.of('GET', '/api/apps/')).toHaveLength(1)
  })
  it('asks several at once, each by itself', async () => {
    await open('/apps', [app('web'), app('web-2'), app('db', { status: 'stopped' })])
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('3 shown')
    })
    for (const name of ['web', 'web-2']) document.querySelector<HTMLInputElement>(`input[aria-label="Choose ${name}"]`)?.click()
    flushSync()
    button('Stop').click()
    await vi.waitFor(() => expect(server.of('POST', '/api/apps/id-web-2/action')).toHaveLength(1))
    expect(server.of('POST', '/api/apps/id-web/action')[0]?.body).toEqual({ action: 'stop', force: false })
    expect(server.of('POST', '/api/apps/id-db/action')).toHaveLength(0)
  })
  it('teaches where there is none', async () => {
    await open('/apps', [])
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('There are no apps yet')
    })
  })
})

describe('removing', () => {
  it('shows exactly what would be done, and takes nothing but the name', async () => {
    await open('/apps/id-web')
    button('Look what a removal').click()
    flushSync()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('Destroy it.')
    })
    expect(text()).toContain('Proxmox VE protects it.')
    const sure = button('Destroy and remove')
    expect(sure.disabled).toBe(true)
    type('confirm', 'we')
    expect(sure.disabled).toBe(true)
    type('confirm', 'web')
    expect(sure.disabled).toBe(false)
    sure.form?.requestSubmit()
    await vi.waitFor(() => expect(server.of('POST', '/api/apps/id-web/action')[0]?.body).toEqual({ action: 'delete', confirm: 'web', force: false }))
    await vi.waitFor(() => expect(location.pathname).toBe('/operations/o-1'))
  })
})

describe('changing', () => {
  it('shows what it would do, and does just that', async () => {
    await open('/apps/id-web')
    button('Change').click()
    flushSync()
    await vi.waitFor(() => {
      flushSync()
      expect(field('setting-title')?.value).toBe('Hello')
    })
    expect(button('Look what that').disabled).toBe(true)
    type('change-disk', '8')
    button('Look what that').form?.requestSubmit()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('PUT /nodes/pve1/lxc/101/resize')
    })
    expect(text()).toContain('proximity configure web --disk 8')
    const sure = button('Change it')
    expect(sure.disabled).toBe(true)
    type('change-confirm', 'web')
    sure.form?.requestSubmit()
    await vi.waitFor(() => expect(server.of('PATCH', '/api/apps/id-web')[0]?.body).toEqual({ resources: { disk: 8 }, digest: 'd-1', confirm: 'web' }))
  })
})

describe('connecting a cluster', () => {
  it('asks first whether it is the node, then shows what would be made, then makes it', async () => {
    await open('/hosts')
    server.answers['GET /api/proxmox/hosts'] = { hosts: [] }
    server.answers['POST /api/proxmox/hosts/init/plan'] = initPlan(false)
    button('Connect a cluster').click()
    flushSync()
    type('url', 'https://192.0.2.10:8006')
    type('label', 'home')
    type('password', 'hush')
    expect(document.querySelector('#connect ~ *, .same')?.textContent ?? '').not.toContain('hush')
    button('Look what would').form?.requestSubmit()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('AB:CD')
    })
    server.answers['POST /api/proxmox/hosts/init/plan'] = initPlan(true)
    button('It is the same').click()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('make the role ProximityOperate')
    })
    expect(server.of('POST', '/api/proxmox/hosts/init')).toHaveLength(0)
    server.answers['POST /api/proxmox/hosts/init'] = initDone
    button('Set it up').click()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('home is connected.')
    })
    expect(server.of('POST', '/api/proxmox/hosts/init')[0]?.body).toMatchObject({ fingerprint: 'AB:CD', storages: ['local-lvm'], pool: 'proximity', login: { user: 'root@pam', password: 'hush' } })
  })
})

describe('the line to the server', () => {
  it('says when it broke off, and goes on where it was', async () => {
    await open('/')
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('Live')
    })
    server.tell('AppStarted', 'web')
    await new Promise((resolve) => setTimeout(resolve, 0))
    server.hangUp()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).toContain('The line to the server broke off.')
    })
    button('Connect now').click()
    await vi.waitFor(() => {
      flushSync()
      expect(text()).not.toContain('The line to the server broke off.')
    })
    const streams = server.asked.filter((one) => one.headers.get('accept') === 'text/event-stream')
    expect(streams.map((one) => one.headers.get('last-event-id'))).toEqual(['1', '11'])
  })
})

describe('keys', () => {
  it('open the palette, which finds an app and what can be done with it', async () => {
    await open('/')
    press('k', { ctrlKey: true })
    const input = document.querySelector<HTMLInputElement>('.palette input')
    expect(input).not.toBeNull()
    if (input === null) return
    input.value = 'stop web'
    input.dispatchEvent(new Event('input', { bubbles: true }))
    flushSync()
    expect(document.querySelector('.palette [aria-selected="true"]')?.textContent).toContain('Stop web')
    input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    await vi.waitFor(() => expect(server.of('POST', '/api/apps/id-web/action')).toHaveLength(1))
  })
  it('go to pages', async () => {
    await open('/')
    press('g')
    press('a')
    expect(location.pathname).toBe('/apps')
  })
})
