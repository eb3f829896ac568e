// Packs what was built with gzip, beside the files themselves: the server sends either and packs nothing itself. Ends with 1 if what a first
// visit loads is more than the page promises (P17).
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'

const BUILT = new URL('../dist/', import.meta.url)
const WORTH = /\.(html|js|css|svg|json|txt)$/
const MOST_SCRIPT_BYTES = 150 * 1024

// What is of others in it says whose it is.
const OTHERS = [
  ['Atkinson Hyperlegible Next', '@fontsource-variable/atkinson-hyperlegible-next/LICENSE'],
  ['Atkinson Hyperlegible Mono', '@fontsource-variable/atkinson-hyperlegible-mono/LICENSE'],
  ['Svelte', 'svelte/LICENSE.md'],
  ['clsx', 'clsx/license'],
  ['esm-env', 'esm-env/LICENSE'],
]
const licences = []
for (const [name, file] of OTHERS) {
  licences.push(`${name}\n\n${(await readFile(new URL(`../node_modules/${file}`, import.meta.url), 'utf8')).trim()}\n`)
}
await writeFile(new URL('licences.txt', BUILT), licences.join(`\n${'-'.repeat(80)}\n\n`))

const names = await readdir(BUILT, { recursive: true })
let script = 0
for (const name of names.filter((name) => WORTH.test(name)).sort()) {
  const file = new URL(name, BUILT)
  const whole = await readFile(file)
  // No time and no name in it, so that the same files give the same bytes.
  const packed = gzipSync(whole, { level: 9 })
  if (packed.length < whole.length) await writeFile(new URL(`${name}.gz`, BUILT), packed)
  if (name.endsWith('.js')) script += packed.length
  console.log(`${name}: ${whole.length} bytes, ${packed.length} packed`)
}
// The build empties the folder; this keeps it in the repository, where the build of the server watches it.
await writeFile(new URL('.gitkeep', BUILT), '')
console.log(`all scripts: ${script} bytes packed, ${MOST_SCRIPT_BYTES} allowed`)
if (script > MOST_SCRIPT_BYTES) process.exitCode = 1
