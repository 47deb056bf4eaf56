// SPDX-License-Identifier: Apache-2.0
// Says which requests it was asked, in a file and in each answer; those below /early are answered
// before their bodies are read, and nobody reads those. Arguments: port, file.
import fs from 'node:fs';
import http from 'node:http';

const log = fs.openSync(process.argv[3], 'a');
const server = http.createServer((request, response) => {
  fs.writeSync(log, `${request.method} ${request.url}\n`);
  response.setHeader('x-target', request.url);
  if (request.url.startsWith('/early')) return response.end('early\n');
  request.resume();
  request.on('end', () => response.end('late\n'));
});
server.keepAliveTimeout = 30000;
server.listen(Number(process.argv[2]), '127.0.0.1');
