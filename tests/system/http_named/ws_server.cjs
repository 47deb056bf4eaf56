// SPDX-License-Identifier: Apache-2.0
// A server of the ws package: echoes, greets whoever asks for /greet, and writes down what it was
// told. Arguments: the global modules' folder, its port, the log.
const fs = require('fs');
const {WebSocketServer} = require(process.argv[2] + '/ws');

const server = new WebSocketServer({host: '127.0.0.1', port: Number(process.argv[3]),
                                    perMessageDeflate: {threshold: 0}, maxPayload: 1 << 26});
server.on('connection', (socket, request) => {
  const deflate = socket.extensions.includes('permessage-deflate');
  if (request.url === '/greet') {
    socket.send('good day, ann@shop.example');
    socket.close(1000, 'that is all');
  }
  socket.on('message', (data, binary) => {
    fs.appendFileSync(process.argv[4], JSON.stringify(
        {path: request.url, deflate, text: data.toString('latin1').slice(0, 200)}) + '\n');
    socket.send(data, {binary});
  });
  socket.on('error', () => {});
});
