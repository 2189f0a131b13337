// An upstream by node ws: answers each message with itself, and says first what it was asked.
'use strict'

const WebSocket = require('ws')

const settings = JSON.parse(process.argv[2])
const server = new WebSocket.Server({
  host: '127.0.0.1', port: settings.port, maxPayload: 0, perMessageDeflate: settings.compress && { threshold: 0 },
})

server.on('connection', (socket, request) => {
  const { url, headers } = request
  socket.send(JSON.stringify({ url, headers, extensions: socket.extensions, protocol: socket.protocol }))
  socket.on('message', (data, isBinary) => {
    const command = isBinary ? '' : data.toString()
    if (command.startsWith('close ')) socket.close(Number(command.slice(6)), 'as you wish')
    else if (command === 'close') socket.close()
    else if (command === 'die') socket.terminate()
    else socket.send(data, { binary: isBinary })
  })
  socket.on('ping', () => process.stdout.write('ping\n'))
  socket.on('close', (code, reason) => process.stdout.write(`closed ${code} ${reason}\n`))
})
server.on('listening', () => process.stdout.write('listening\n'))
