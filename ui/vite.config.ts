import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The policy of the page allows no `data:`: every font and picture is a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  // While working on the page: `proximity serve` (or `try`) has the API.
  server: { proxy: { '/api': process.env.PROXIMITY_URL ?? 'http://127.0.0.1:7640' } },
  // Tests run in Node, and mount the page as a browser does.
  ...(process.env.VITEST ? { resolve: { conditions: ['browser'] } } : {}),
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts'], css: { include: /tokens\.css/ } },
})
