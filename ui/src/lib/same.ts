// What is done here as a command, and as a document.

import type { Wire } from '../api/client'

/** A word of a shell's command line: as it is where that is safe, else in single quotes. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** A command line of ours. Words that are absent are left out. */
export function command(...words: (string | null | undefined | false)[]): string {
  return ['proximity', ...words.filter((word): word is string => typeof word === 'string' && word !== '')].map(quoted).join(' ')
}

/** The names of the settings whose values are secrets, by an entry of the catalog. */
export type Secrets = Set<string>

/** The deploy of a request as a command. A secret is read from a file there, never written out. */
export function deployCommand(app: Wire<'CreateApp'>, secrets: Secrets): string {
  const config = app.config ?? {}
  const set = Object.entries(app.environment ?? {}).flatMap(([name, value]) =>
    secrets.has(name) ? ['--set-file', `${name}=FILE`] : ['--set', `${name}=${String(value)}`],
  )
  const number = (flag: string, value: number | null | undefined): string[] =>
    value === null || value === undefined ? [] : [flag, String(value)]
  const word = (flag: string, value: string | null | undefined): string[] => (value ? [flag, value] : [])
  return command(
    'deploy',
    app.catalog_id,
    app.hostname,
    ...number('--memory', config.memory),
    ...number('--cores', config.cores),
    ...number('--disk', config.disk),
    ...word('--host', app.host),
    ...word('--node', app.node),
    ...word('--host-name', app.host_name),
    ...set,
  )
}

/** A value of YAML on one line: as it is where it can be nothing else than that text, else in double quotes. */
export function scalar(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = String(value)
  const plain = /^[A-Za-z/][\w./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
  return plain ? text : JSON.stringify(text)
}

/** The deploy of a request as a document of desired state (docs/reference/manifests.md). */
export function deployDocument(app: Wire<'CreateApp'>, secrets: Secrets): string {
  const lines = ['apiVersion: proximity/v1', 'kind: App', 'metadata:', `  name: ${scalar(app.hostname)}`, 'spec:']
  const field = (name: string, value: unknown, indent = '  '): void => {
    if (value !== null && value !== undefined && value !== '') lines.push(`${indent}${name}: ${scalar(value)}`)
  }
  field('catalog_id', app.catalog_id)
  field('host', app.host)
  field('node', app.node)
  const { memory, cores, disk } = app.config ?? {}
  if ([memory, cores, disk].some((value) => value !== null && value !== undefined)) {
    lines.push('  resources:')
    field('memory_mib', memory, '    ')
    field('cores', cores, '    ')
    field('disk_gib', disk, '    ')
  }
  const given = Object.entries(app.environment ?? {})
  if (given.length > 0) {
    lines.push('  settings:')
    for (const [name, value] of given) {
      if (secrets.has(name)) lines.push(`    ${name}: {secret: ${scalar(`${app.hostname}-${name.replaceAll('_', '-')}`)}}`)
      else field(name, value, '    ')
    }
  }
  field('host_name', app.host_name)
  return `${lines.join('\n')}\n`
}
