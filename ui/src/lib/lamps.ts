// Which lamp a state has. Shape and colour say the same, so that either is enough.

export type Shape = 'full' | 'open' | 'half' | 'cross' | 'triangle' | 'back'
export type Tone = 'good' | 'move' | 'warn' | 'bad' | 'still'
export interface Lamp {
  shape: Shape
  tone: Tone
}

const LAMPS: Record<string, Lamp> = {
  // Apps and containers.
  running: { shape: 'full', tone: 'good' },
  stopped: { shape: 'open', tone: 'still' },
  error: { shape: 'triangle', tone: 'bad' },
  deploying: { shape: 'half', tone: 'move' },
  adopting: { shape: 'half', tone: 'move' },
  cloning: { shape: 'half', tone: 'move' },
  updating: { shape: 'half', tone: 'move' },
  removing: { shape: 'half', tone: 'move' },
  unknown: { shape: 'open', tone: 'warn' },
  // Operations. `running` of an operation is `at_work`.
  queued: { shape: 'open', tone: 'move' },
  at_work: { shape: 'half', tone: 'move' },
  unwinding: { shape: 'back', tone: 'warn' },
  succeeded: { shape: 'full', tone: 'good' },
  failed: { shape: 'cross', tone: 'bad' },
  cancelled: { shape: 'back', tone: 'still' },
  stuck: { shape: 'triangle', tone: 'bad' },
  // Steps.
  started: { shape: 'half', tone: 'move' },
  undo_started: { shape: 'back', tone: 'warn' },
  undo_finished: { shape: 'back', tone: 'still' },
  undo_failed: { shape: 'triangle', tone: 'bad' },
  // Lines of a pre-flight, findings, health.
  ok: { shape: 'full', tone: 'good' },
  warn: { shape: 'triangle', tone: 'warn' },
  stop: { shape: 'cross', tone: 'bad' },
  fault: { shape: 'cross', tone: 'bad' },
  warning: { shape: 'triangle', tone: 'warn' },
  note: { shape: 'open', tone: 'still' },
}

/** The lamp of a state; an open one for a state that is not known. */
export function lampOf(state: string): Lamp {
  return LAMPS[state] ?? { shape: 'open', tone: 'still' }
}

/** The lamp of an operation's state: its `running` is work, not rest. */
export function operationLamp(state: string): Lamp {
  return lampOf(state === 'running' ? 'at_work' : state)
}
