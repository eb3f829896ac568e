// What a person does with the page, from the first sign-in to the removal.

import { expect, test } from './world'

interface Found {
  id: string
  hostname: string
  vmid: number
  url: string | null
}

test('signing in takes the server’s token and no other', async ({ page, world }) => {
  await page.goto('/apps')
  await page.getByLabel('Token of the API').fill('not-this-one')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByText('This token is not known here.')).toBeVisible()
  await page.getByLabel('Token of the API').fill(world.token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  // Where somebody wanted to go is where they are.
  await expect(page.getByRole('heading', { level: 1, name: 'My apps' })).toBeVisible()
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
})

test('an app goes from the store to its own page, stops, starts, and is removed', async ({ signedIn: page, world, request }) => {
  await page.goto('/store')
  await page.getByLabel('Search the catalog').fill('nginx')
  await page.getByRole('link', { name: /nginx/ }).first().click()
  await page.getByLabel('Host name').fill('shop')
  await expect(page.getByText(/^It goes to /)).toBeVisible()
  await expect(page.getByLabel('as a command', { exact: true })).toContainText('proximity deploy nginx shop')
  await page.getByRole('button', { name: 'Deploy', exact: true }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'shop' })).toBeVisible()
  const open = page.getByRole('link', { name: 'Open', exact: true })
  await expect(open).toBeVisible({ timeout: 60_000 })
  const url = (await open.getAttribute('href')) ?? ''
  expect((await request.get(url)).status()).toBe(200)

  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await expect(page.getByRole('button', { name: 'Start', exact: true })).toBeVisible()
  await expect(request.get(url)).rejects.toThrow()
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await expect(open).toBeVisible({ timeout: 60_000 })

  await page.getByRole('button', { name: /^Look what a removal/ }).click()
  const dialog = page.getByRole('dialog', { name: 'Remove shop' })
  await expect(dialog.getByText('It is the recorded container')).toBeVisible()
  const sure = dialog.getByRole('button', { name: 'Destroy and remove' })
  await dialog.getByLabel('Type shop to confirm').fill('sho')
  await expect(sure).toBeDisabled()
  await dialog.getByLabel('Type shop to confirm').fill('shop')
  await sure.click()
  await expect(page.getByText('done').first()).toBeVisible({ timeout: 60_000 })
  expect((await world.api<{ apps: Found[] }>('/api/apps/')).apps.map((app) => app.hostname)).not.toContain('shop')
})

test('a change made elsewhere is seen at once', async ({ signedIn: page, world }) => {
  await page.goto('/apps')
  const row = page.getByRole('row', { name: /hello/ })
  await expect(row.getByText('running')).toBeVisible()
  world.command('stop', 'hello')
  await expect(row.getByText('stopped')).toBeVisible()
  world.command('start', 'hello')
  await expect(row.getByText('running')).toBeVisible({ timeout: 60_000 })
})

test('a line that breaks off is told, and comes back without loss', async ({ signedIn: page, world }) => {
  await page.route('**/api/events', (route) => route.abort())
  await page.goto('/apps')
  await expect(page.getByText(/The line to the server broke off/)).toBeVisible()
  await expect(page.getByRole('row', { name: /hello/ }).getByText('running')).toBeVisible()
  world.command('stop', 'hello')
  await page.unroute('**/api/events')
  await page.getByRole('button', { name: 'Connect now' }).click()
  await expect(page.getByRole('row', { name: /hello/ }).getByText('stopped')).toBeVisible()
  world.command('start', 'hello')
})

test('a container that somebody deletes by hand is told on the first page', async ({ signedIn: page, world }) => {
  world.command('deploy', 'nginx', 'victim')
  const victim = await world.api<Found>('/api/apps/victim')
  await page.goto('/')
  world.control(`/world/guests/${victim.vmid}`, { vanish: {} })
  world.command('reconcile')
  world.command('reconcile')
  world.command('reconcile')
  await expect(page.getByText(/The container is missing|Somebody deleted the container of/).first()).toBeVisible({ timeout: 90_000 })
})

test('a page that is not there says so, and the API’s own answers stay', async ({ signedIn: page, request }) => {
  await page.goto('/no/such/page')
  await expect(page.getByRole('heading', { level: 1, name: 'There is no such page' })).toBeVisible()
  await page.goto('/apps/no-such-app')
  await expect(page.getByRole('heading', { level: 1, name: 'There is no such app' })).toBeVisible()
  const answer = await request.get('/api/nope', { headers: { accept: 'text/html' } })
  expect(answer.status()).toBe(404)
  expect(((await answer.json()) as { error: { code: string } }).error.code).toBe('no_such_path')
})

test('everything can be done with keys', async ({ signedIn: page }) => {
  await page.goto('/')
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await expect(page.getByRole('heading', { level: 1, name: 'My apps' })).toBeVisible()
  await page.keyboard.press('Control+k')
  await page.keyboard.type('hello')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'hello' })).toBeVisible()
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
})
