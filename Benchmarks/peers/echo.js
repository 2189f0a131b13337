// The WebSocket peer: Debian's node-ws as its manual sets it up.
// Usage: node --expose-gc echo.js PORT [deflate | tls CERTIFICATE KEY]
'use strict';

const { readFileSync } = require('fs');
const https = require('https');
const { WebSocketServer } = require('ws');

const [port, mode, certificate, key] = process.argv.slice(2);

// The same takeover mode, level and threshold as the gateway runs with; the rest as `ws` has it by default.
const withoutTakeover = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 1024,
  zlibDeflateOptions: { level: 6 },
};

const place = { host: '127.0.0.1', port: Number(port) };
const perMessageDeflate = mode === 'deflate' ? withoutTakeover : false;
const web = mode === 'tls' && https.createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
const server = new WebSocketServer(web ? { server: web, perMessageDeflate } : { ...place, perMessageDeflate });
if (web) web.listen(place);

server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', () => {});
});

// Memory is read after the garbage is gone: what counts is what a socket keeps.
process.on('SIGUSR2', () => global.gc());
process.on('SIGTERM', () => process.exit(0));
