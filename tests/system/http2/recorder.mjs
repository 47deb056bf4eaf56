// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server in clear text that writes down each request that reaches it, and its trailers, one
// JSON object a line, and answers 200 with a trailer of its own. Arguments: port, file.
import fs from 'node:fs';
import http2 from 'node:http2';

const [port, file] = process.argv.slice(2);
fs.writeFileSync(file, '');
const keep = (what) => fs.appendFileSync(file, JSON.stringify(what) + '\n');
const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  keep(headers);
  stream.on('trailers', (trailers) => keep({trailers}));
  stream.on('wantTrailers', () => stream.sendTrailers({'x-to': 'ann@shop.example'}));
  stream.respond({':status': 200, 'content-type': 'text/plain'}, {waitForTrailers: true});
  stream.resume();
  stream.on('end', () => { if (!stream.destroyed) stream.end('ok'); });
});
server.listen(Number(port), '127.0.0.1');
