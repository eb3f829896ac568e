// Setting a host up: what is asked for, and what of a look is kept, so that just what was shown is what is done.

import type { Wire } from '../api/client'

export interface Typed {
  url: string
  label: string
  user: string
  password: string
  totp: string
  images: boolean
  ssh: boolean
}

/** The request of a look; `fingerprint` is what somebody said is the node's. */
export function asked(typed: Typed, fingerprint: string | null): Wire<'InitHost'> {
  const code = typed.totp.trim()
  return {
    url: typed.url.trim().replace(/\/+$/, ''),
    label: typed.label.trim(),
    login: { user: typed.user.trim(), password: typed.password, ...(code === '' ? {} : { totp: code }) },
    images: typed.images,
    ...(fingerprint === null ? {} : { fingerprint }),
    ...(typed.ssh ? { ssh: {} } : {}),
  }
}

/** The same request with the places that a look has shown: they are set up, and not others that are there a moment later. */
export function kept(request: Wire<'InitHost'>, plan: Wire<'InitPlan'>): Wire<'InitHost'> {
  const { storage, template_storage, bridge, pool } = plan.found.chosen
  const ssh = plan.found.ssh
  return {
    ...request,
    storages: storage ? [storage] : [],
    template_storage: template_storage ?? null,
    bridge: bridge ?? null,
    pool: pool ?? null,
    ...(request.ssh
      ? {
          ssh: {
            host_keys: Object.fromEntries(ssh.map((one) => [one.node, one.host_key])),
            addresses: Object.fromEntries(ssh.map((one) => [one.node, one.address])),
          },
        }
      : {}),
  }
}

/** Whether an address is one of a node's API. */
export function isAddress(text: string): boolean {
  try {
    const url = new URL(text.trim())
    return url.protocol === 'https:' && url.hostname !== '' && url.pathname === '/' && url.search === '' && url.username === ''
  } catch {
    return false
  }
}
