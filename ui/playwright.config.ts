import { defineConfig, devices } from '@playwright/test'

// In a real browser, against the real program and its lab. PROXIMITY_BIN is the program, CHROMIUM a browser that is there already.
export default defineConfig({
  testDir: 'tests',
  workers: 1,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 20_000, toHaveScreenshot: { maxDiffPixels: 40, animations: 'disabled', caret: 'hide' } },
  reporter: [['list'], ['html', { open: 'never' }]],
  use: {
    ...devices['Desktop Chrome'],
    locale: 'en-US',
    timezoneId: 'UTC',
    trace: 'retain-on-failure',
    launchOptions: process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] } : {},
  },
})
