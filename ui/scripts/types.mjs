// Writes src/api/schema.ts from docs/reference/openapi.json. It is made anew before every check and build and is in no commit, so that
// the page is always held against the API as it is described now.
import { readFile, writeFile } from 'node:fs/promises'
import openapiTS, { astToString } from 'openapi-typescript'

const source = new URL('../../docs/reference/openapi.json', import.meta.url)
const target = new URL('../src/api/schema.ts', import.meta.url)

const nodes = await openapiTS(JSON.parse(await readFile(source, 'utf8')), { alphabetize: true })
const text = `// Made from docs/reference/openapi.json by scripts/types.mjs.\n${astToString(nodes)}`
const before = await readFile(target, 'utf8').catch(() => '')
if (before !== text) await writeFile(target, text)
