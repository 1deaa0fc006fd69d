// The application on Node's http: every path says who answers.
//
// It listens on the descriptor it inherits (LISTEN_FDS), else on PORT. It leaves as Node's documentation advises: on
// SIGTERM or SIGINT it stops accepting, closes idle connections and ends when the last request is answered.

const fs = require('node:fs')
const http = require('node:http')

const release = process.env.BENCH_RELEASE_FILE ? fs.readFileSync(process.env.BENCH_RELEASE_FILE, 'utf8').trim() : '0'
const generation = process.env.AETERNA_GENERATION || ''
if (release === 'import') throw new Error('this release is broken on purpose: it does not load')
if (release === 'crash') setTimeout(() => process.exit(9), 1000)

let isLeaving = false

const server = http.createServer((request, response) => {
  request.resume()
  const body = JSON.stringify({ pid: process.pid, generation, release })
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-pid': process.pid,
    'x-generation': generation || '0',
    'x-release': release,
    ...(isLeaving ? { connection: 'close' } : {}),
  })
  response.end(body)
})

function leave() {
  isLeaving = true
  server.close(() => process.exit(0))
  server.closeIdleConnections()
}

process.on('SIGTERM', leave)
process.on('SIGINT', leave)
const where = process.env.LISTEN_FDS ? { fd: 3 } : { port: Number(process.env.PORT), host: '127.0.0.1' }
server.listen(where, () => { if (process.send) process.send('ready') })
