// What every page has to be for everybody: readable by programs, whole at three widths and in both themes, within its policy.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from '@playwright/test'
import { expect, test } from './world'

const PAGES = ['/', '/store', '/store/nginx', '/apps', '/apps/hello', '/adopt', '/hosts', '/catalog', '/operations', '/settings', '/nope']
const WIDTHS = { phone: 390, tablet: 820, wide: 1440 }
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface Violation {
  id: string
  impact: string
  nodes: { html: string }[]
}

async function ready(page: Page, path: string): Promise<void> {
  await page.goto(path)
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  await expect(page.getByText('Reading …')).toHaveCount(0)
  await page.evaluate(() => document.fonts.ready)
}

for (const path of PAGES) {
  for (const theme of ['light', 'dark'] as const) {
    test(`${path} is readable by programs, ${theme}`, async ({ signedIn: page }) => {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
      await ready(page, path)
      await page.evaluate(AXE)
      const violations = await page.evaluate(async () => {
        const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }).axe
        return (await axe.run()).violations
      })
      const grave = violations.filter((one) => one.impact === 'serious' || one.impact === 'critical')
      expect(grave.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)).toEqual([])
    })
  }
  for (const [name, width] of Object.entries(WIDTHS)) {
    test(`${path} needs no sideways scrolling, ${name}`, async ({ signedIn: page }, about) => {
      await page.setViewportSize({ width, height: 900 })
      for (const theme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
        await ready(page, path)
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
        await about.attach(`${name}-${theme}`, { body: await page.screenshot({ fullPage: true }), contentType: 'image/png' })
      }
    })
  }
}

test('nothing comes from elsewhere, and nothing breaks the policy', async ({ signedIn: page, world }) => {
  const elsewhere: string[] = []
  page.on('request', (request) => {
    if (!request.url().startsWith(world.url)) elsewhere.push(request.url())
  })
  await page.addInitScript(() => {
    const broken: string[] = []
    Object.assign(globalThis, { broken })
    document.addEventListener('securitypolicyviolation', (event) => broken.push(`${event.violatedDirective} ${event.blockedURI}`))
  })
  for (const path of PAGES) {
    await ready(page, path)
    expect(await page.evaluate(() => (globalThis as unknown as { broken: string[] }).broken), path).toEqual([])
  }
  expect(elsewhere).toEqual([])
})

// The pixels of a part that does not depend on the world, and the proof that a difference of two of them is seen.
test('the sign-in looks as it did, and a shift of 2 px is noticed', async ({ page }) => {
  await page.setViewportSize({ width: 900, height: 700 })
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
  await page.goto('/')
  await expect(page.getByLabel('Token of the API')).toBeVisible()
  await page.evaluate(() => document.fonts.ready)
  const main = page.getByRole('main')
  await expect(main).toHaveScreenshot('sign-in.png')
  await page.getByRole('button', { name: 'Sign in' }).evaluate((button) => {
    button.style.transform = 'translateY(2px)'
  })
  await expect(expect(main).toHaveScreenshot('sign-in.png', { timeout: 2000 })).rejects.toThrow()
})
