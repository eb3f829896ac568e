// P17, what of it shows in a browser: the first useful paint from cold, and rows in the document with ten thousand apps. The apps are put
// into the API's answers on their way: making them is the figure's own work, not the page's.

import { expect, test } from './world'

test('ten thousand apps are few rows, and the page is there within a second', async ({ signedIn: page, world }) => {
  const hello = await world.api<{ id: string; hostname: string }>('/api/apps/hello')
  const all = Array.from({ length: 10_000 }, (_, at) => ({ ...hello, id: `id-${at}`, hostname: `app-${String(at).padStart(5, '0')}` }))
  await page.route(/\/api\/apps\/\?/, (route) => {
    const query = new URL(route.request().url()).searchParams
    const from = Number(query.get('after') ?? '0')
    const limit = Number(query.get('limit') ?? '50')
    const next = from + limit < all.length ? String(from + limit) : null
    return route.fulfill({ json: { apps: all.slice(from, from + limit), next, total: all.length } })
  })
  const begun = Date.now()
  await page.goto('/apps', { waitUntil: 'commit' })
  await expect(page.getByRole('link', { name: /^app-0/ }).first()).toBeVisible()
  expect(Date.now() - begun).toBeLessThan(1000)
  await expect(page.getByText('10,000 shown')).toBeVisible()
  expect(await page.locator('tbody tr').count()).toBeLessThanOrEqual(150)
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight))
  await expect(page.getByRole('link', { name: 'app-09999' })).toBeVisible()
  expect(await page.locator('tbody tr').count()).toBeLessThanOrEqual(150)
})
