// Reads a conversation from stdin, holds it, writes a transcript to stdout. The last message waits for the pings.
'use strict'

const fs = require('fs')
const WebSocket = require('ws')

const job = JSON.parse(fs.readFileSync(0))
const transcript = { replies: [], extensions: '', pings: 0, closeCode: null }

const socket = new WebSocket(job.url, { ca: fs.readFileSync(job.authority), maxPayload: 0 })

function send(parts) {
  parts.forEach((part, index) => {
    const data = 'text' in part ? part.text : Buffer.from(part.binary, 'base64')
    socket.send(data, { fin: index === parts.length - 1, binary: !('text' in part) })
  })
}

let said = 0

function sayNext() {
  if (transcript.replies.length < said) return
  const left = job.messages.length - said
  if (left > 1 || (left === 1 && transcript.pings >= job.pings)) send(job.messages[said++])
  else if (left === 0) socket.close(1000)
}

socket.on('open', () => {
  transcript.extensions = socket.extensions
  sayNext()
})
socket.on('message', (data, isBinary) => {
  transcript.replies.push(isBinary ? { binary: data.toString('base64') } : { text: data.toString() })
  sayNext()
})
socket.on('ping', () => {
  transcript.pings += 1
  sayNext()
})
socket.on('close', (code) => {
  transcript.closeCode = code
  process.stdout.write(JSON.stringify(transcript))
})
socket.on('error', (error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
})
