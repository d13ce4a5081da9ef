// Runs the public HTTP cache suite (npm http-cache-tests) through a cache and prints one JSON line:
//   {"required": passed, "optimal": passed, "failed": ["kind id: why", …]}
//
//   node suite.mjs CACHE_URL ORIGIN_PORT     the cache's source must be http://127.0.0.1:ORIGIN_PORT
//
// Exit code 0 if the suite ran, 1 if it did not; whether the score is good is the caller's affair.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [cache, port] = process.argv.slice(2)
if (!cache || !port) {
  console.error('usage: node suite.mjs CACHE_URL ORIGIN_PORT')
  process.exit(2)
}
const here = dirname(fileURLToPath(import.meta.url))
const suite = dirname(createRequire(import.meta.url).resolve('http-cache-tests/package.json'))
const load = async (path) => import(pathToFileURL(join(suite, path)))
const LIMIT_MS = 240_000

function node (args, settings) {
  const env = { ...process.env }
  for (const [name, value] of Object.entries(settings)) env[`npm_config_${name}`] = value
  env.npm_package_config_id = ''
  return spawn(process.execPath, ['--no-warnings', ...args], { cwd: suite, env, stdio: ['ignore', 'pipe', 'inherit'] })
}

async function listens () {
  for (let tries = 0; tries < 200; tries++) {
    const open = await new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => { socket.destroy(); resolve(true) })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`the suite's origin does not listen on ${port}`)
}

const origin = node(['--import', pathToFileURL(join(here, 'loopback.mjs')).href, 'server/server.mjs'],
  { protocol: 'http', port, pidfile: join(here, 'node_modules', `.origin-${port}.pid`) })
origin.stdout.resume()
const limit = setTimeout(() => { origin.kill(); console.error('the suite took too long'); process.exit(1) }, LIMIT_MS)
try {
  await listens()
  const client = node(['cli.mjs'], { base: cache.replace(/\/$/, '') })
  let text = ''
  client.stdout.on('data', (chunk) => { text += chunk })
  await once(client, 'close')
  const results = JSON.parse(text)

  const suites = [...(await load('tests/index.mjs')).default, (await load('tests/surrogate-control.mjs')).default]
  const { determineTestResult } = await load('lib/display.mjs')
  const score = { required: 0, optimal: 0, failed: [] }
  for (const test of suites.flatMap((each) => each.tests)) {
    const kind = test.kind || 'required'
    if (kind === 'check' || test.browser_only) continue
    if (determineTestResult(suites, test.id, results)[2] === '✅') score[kind]++
    else score.failed.push(`${kind} ${test.id}: ${[].concat(results[test.id]).at(-1)}`)
  }
  console.log(JSON.stringify(score))
} catch (error) {
  console.error(String(error))
  process.exitCode = 1
} finally {
  clearTimeout(limit)
  origin.kill()
}
