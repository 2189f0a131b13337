// The WebSocket peer: Debian's node-ws as its manual sets it up. Usage: node --expose-gc echo.js PORT [deflate]
'use strict';

const { WebSocketServer } = require('ws');

const [port, mode] = process.argv.slice(2);

// The same takeover mode, level and threshold as the gateway runs with; the rest as `ws` has it by default.
const withoutTakeover = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 1024,
  zlibDeflateOptions: { level: 6 },
};

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(port),
  perMessageDeflate: mode === 'deflate' ? withoutTakeover : false,
});

server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', () => {});
});

// Memory is read after the garbage is gone: what counts is what a socket keeps.
process.on('SIGUSR2', () => global.gc());
process.on('SIGTERM', () => process.exit(0));
