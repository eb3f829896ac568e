// Events as people read them.

import type { Wire } from '../api/client'
import type { Lamp } from './lamps'
import { words } from './words.svelte'

type Told = Wire<'Event'>

const CRITICAL = ['OperationGotStuck', 'AnomalousOrphanDetected', 'GuestConflicted', 'MassBrakeStopped']
const WARNING =
  /Failed$|^(DriftDetected|DesiredDrifted|OperationAbandoned|HostNodeForgotten|AppLostWithNode|GuestTwinFound|AdoptedEnteredPool|GuestIdentityLearned|AppDiagnosedStuck|SourceWaits|RevisionRejected)$/
const GOOD =
  /^(AppDeployed|AppStarted|AppAdopted|AppUpdated|AppKeysRestored|OperationSucceeded|DriftEnded|DesiredDriftEnded|GuestSeenAgain|GuestConflictEnded|GuestIdentityRestored|MassBrakeEnded|SourceRecovered|SourceApplied|ApplyEnded)$/

/** How grave an event is, as docs/reference/events.md has it. */
export function eventTone(kind: string): Lamp {
  if (CRITICAL.includes(kind)) return { shape: 'triangle', tone: 'bad' }
  if (WARNING.test(kind)) return { shape: 'triangle', tone: 'warn' }
  if (GOOD.test(kind)) return { shape: 'full', tone: 'good' }
  return { shape: 'open', tone: 'still' }
}

/** Whether it is a thing that somebody who looks at the whole should see; steps of operations are not. */
export function isOfNote(event: Told): boolean {
  return !/^Operation(Queued|Started|Progressed|TurnedBack|Succeeded|Failed|Cancelled|TakenOver)$|^AppStatusChanged$|^Resource|^Reconciliation/.test(event.kind)
}

/** `AppDeployFailed` as words where the language has none of its own for it. */
export function spoken(kind: string): string {
  const text = kind.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
  return text.charAt(0).toUpperCase() + text.slice(1)
}

export function eventName(event: Told): { what: string; app: string | null } {
  const body = event.body as { hostname?: unknown; label?: unknown } | null
  const named = words.label('event', event.kind)
  const what = named === event.kind ? spoken(event.kind) : named
  const app = typeof body?.hostname === 'string' ? body.hostname : typeof body?.label === 'string' ? body.label : null
  return { what, app }
}
