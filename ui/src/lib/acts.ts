// What is asked of apps and operations, from wherever on the page.

import { api, newKey } from '../api/client'
import type { App } from './list'
import { command } from './same'
import { notices } from './notices.svelte'
import { t } from './words.svelte'

export type Act = 'start' | 'stop' | 'restart'

/** Asks for an act on an app. What becomes of it is told by its operation. */
export async function act(app: App, action: Act, force = false): Promise<void> {
  try {
    const operation = await api.post('/api/apps/{app}/action', { path: { app: app.id }, body: { action, force }, key: newKey() })
    notices.say(t(`asked.${action}`, { app: app.hostname }), `/operations/${operation.id}`)
  } catch (error) {
    notices.refuse(t('refused.act', { app: app.hostname }), error)
  }
}

export function actCommand(app: App, action: Act): string {
  return command(action, app.hostname)
}

export type OperationAct = 'retry' | 'cancel' | 'abandon'

export async function actOnOperation(id: string, action: OperationAct): Promise<string | null> {
  try {
    const path = { id }
    const asked =
      action === 'retry'
        ? await api.post('/api/operations/{id}/retry', { path, key: newKey() })
        : action === 'cancel'
          ? await api.post('/api/operations/{id}/cancel', { path })
          : await api.post('/api/operations/{id}/abandon', { path })
    notices.say(t(`asked.${action}`, { app: asked.hostname ?? id }))
    return asked.id
  } catch (error) {
    notices.refuse(t('refused.operation'), error)
    return null
  }
}
