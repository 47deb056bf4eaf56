// SPDX-License-Identifier: Apache-2.0
// Says in a trailer what it was told in one, and how many bytes came. Argument: its port.
import http from 'node:http';

http.createServer((request, response) => {
  let size = 0;
  request.on('data', (piece) => { size += piece.length; });
  request.on('end', () => {
    response.writeHead(200, {trailer: 'x-seen'});
    response.write('counted');
    response.addTrailers({'x-seen': `${request.trailers['x-sum']} of ${size}`});
    response.end();
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
