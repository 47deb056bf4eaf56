// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server within TLS that takes HTTP/1.1, too. Says in x-seen which of both it was asked in
// and the port of its peer: streams of one connection see the same one. Arguments: port, key,
// certificate.
import fs from 'node:fs';
import http2 from 'node:http2';

const [port, key, cert] = process.argv.slice(2);
const server = http2.createSecureServer(
    {key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true});
server.on('request', (request, response) => {
  const socket = request.stream?.session?.socket ?? request.socket;
  const fields = {'x-seen': `${request.httpVersion} ${socket.remotePort}`};
  if (request.method === 'POST') {
    response.writeHead(200, fields);
    request.pipe(response);
  } else if (request.url.startsWith('/slowly')) {
    response.writeHead(200, fields);
    let left = Number(request.url.split('/')[2] ?? 5);
    const timer = setInterval(() => {
      if (left-- === 0) { clearInterval(timer); return response.end(); }
      response.write(`piece ${left}\n`);
    }, 50);
  } else if (request.url === '/large') {
    response.writeHead(200, fields);
    response.end(Buffer.alloc(5_000_000, 'x'));
  } else {
    response.writeHead(200, {...fields, trailer: 'x-sum'});
    response.addTrailers({'x-sum': String(request.url.length)});
    response.end(request.url);
  }
});
server.listen(Number(port), '127.0.0.1');
