// The program with its lab, simulated, as `proximity try` starts it: one for all tests of a file, ended with everything it started.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect, type Page } from '@playwright/test'

const PROGRAM = process.env.PROXIMITY_BIN ?? join(import.meta.dirname, '../../target/debug/proximity')

export class World {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly url: string,
    readonly token: string,
  ) {}

  static async start(): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'proximity-page-'))
    const child = spawn(PROGRAM, ['try', '--guests', 'simulated', '--dir', folder], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    const api = await new Promise<string>((resolve, reject) => {
      const hear = (piece: Buffer): void => {
        said += piece.toString()
        const found = /the API\s+(\S+)\/api\/health/.exec(said)
        if (found?.[1] !== undefined) resolve(found[1])
      }
      child.stdout.on('data', hear)
      child.stderr.on('data', hear)
      child.once('exit', (code) => reject(new Error(`proximity try ended with ${code}:\n${said}`)))
    })
    const token = readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim()
    return new World(child, folder, api, token)
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGINT')
    await gone
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Changes what the emulated cluster is like, behind everybody's back. */
  control(path: string, body: unknown): void {
    execFileSync(PROGRAM, ['lab', 'control', '--dir', join(this.folder, 'lab'), 'POST', path, JSON.stringify(body)])
  }

  /** A command as a person types it. */
  command(...words: string[]): string {
    return execFileSync(PROGRAM, ['--config', join(this.folder, 'config.yaml'), ...words], { encoding: 'utf8' })
  }

  async api<T>(path: string): Promise<T> {
    const answer = await fetch(this.url + path, { headers: { authorization: `Bearer ${this.token}` } })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }
}

export const test = base.extend<{ signedIn: Page }, { world: World }>({
  world: [
    async ({}, use) => {
      const world = await World.start()
      await use(world)
      await world.end()
    },
    { scope: 'worker', timeout: 180_000 },
  ],
  baseURL: async ({ world }, use) => use(world.url),
  // A page on which somebody is signed in, and on which nothing may go wrong unseen.
  signedIn: async ({ page, world }, use) => {
    const wrong: string[] = []
    page.on('pageerror', (error) => wrong.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) wrong.push(message.text())
    })
    await page.addInitScript((token) => sessionStorage.setItem('proximity.token', token), world.token)
    await use(page)
    expect(wrong).toEqual([])
  },
})

export { expect }
