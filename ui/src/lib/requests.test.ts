import { describe, expect, it } from 'vitest'
import type { Wire } from '../api/client'
import { app } from '../fixtures/server'
import { change } from './change'
import { asked, isAddress, kept } from './connect'
import type { Setting } from './inputs'

const TYPED = { url: 'https://192.0.2.10:8006/', label: ' home ', user: 'root@pam', password: ' p ', totp: '', images: false, ssh: true }

describe('connecting', () => {
  it('asks with what was typed, and leaves the password as it is', () => {
    expect(asked(TYPED, null)).toEqual({ url: 'https://192.0.2.10:8006', label: 'home', login: { user: 'root@pam', password: ' p ' }, images: false, ssh: {} })
    expect(asked({ ...TYPED, totp: ' 123456 ', ssh: false }, 'AB')).toMatchObject({ login: { totp: '123456' }, fingerprint: 'AB' })
    expect(asked({ ...TYPED, ssh: false }, null).ssh).toBeUndefined()
  })
  it('does just what was shown', () => {
    const found = { chosen: { storage: 'lvm', bridge: 'vmbr1', template_storage: 'local', pool: 'proximity' }, ssh: [{ node: 'pve1', address: '192.0.2.10:22', host_key: 'k', fingerprint: 'f' }] }
    const plan = { found } as unknown as Wire<'InitPlan'>
    expect(kept(asked(TYPED, 'AB'), plan)).toMatchObject({
      fingerprint: 'AB',
      storages: ['lvm'],
      template_storage: 'local',
      bridge: 'vmbr1',
      pool: 'proximity',
      ssh: { host_keys: { pve1: 'k' }, addresses: { pve1: '192.0.2.10:22' } },
    })
    expect(kept(asked({ ...TYPED, ssh: false }, null), plan).ssh).toBeUndefined()
  })
  it('goes to an address of an API and to nothing else', () => {
    expect(isAddress('https://pve.example:8006')).toBe(true)
    for (const bad of ['', 'pve', 'http://pve:8006', 'https://a@pve:8006', 'https://pve:8006/x', 'https://pve/?x']) expect(isAddress(bad), bad).toBe(false)
  })
})

describe('changing', () => {
  const settings = [
    { name: 'title', kind: 'text', required: true, summary: '', env: 'T' },
    { name: 'password', kind: 'secret', required: false, summary: '', env: 'P' },
    { name: 'port', kind: 'port', required: false, summary: '', env: 'X', default: '80' },
  ] satisfies Setting[]
  const same = { memory: '512', cores: '1', disk: '4', settings: { title: 'Hello', password: '', port: '80' } }
  it('asks for nothing where nothing is otherwise', () => {
    expect(change(app('web'), settings, same)).toBeNull()
    expect(change(app('web'), settings, { ...same, memory: 'x' })).toBeNull()
  })
  it('asks only for what is otherwise', () => {
    expect(change(app('web'), settings, { ...same, memory: '1024' })).toEqual({ resources: { memory: 1024, cores: undefined, disk: undefined } })
    const typed = { title: 'Hello', password: 'new', port: '81' }
    expect(change(app('web'), settings, { ...same, settings: typed })).toEqual({ settings: { password: 'new', port: 81 } })
  })
})
