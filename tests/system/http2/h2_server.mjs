// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server in clear text: echoes, streams events with their time, answers with trailers, and
// opens WebSockets over extended CONNECT that echo each frame. Prints its port.
import http2 from 'node:http2';

const server = http2.createServer({settings: {enableConnectProtocol: true}});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const path = headers[':path'];
  if (headers[':method'] === 'CONNECT') {
    stream.respond({':status': 200});
    stream.on('data', (frame) => {
      // What a client sends is masked; it comes back as a server's frame of less than 126 bytes.
      const payload = Buffer.from(frame.subarray(6)).map((b, i) => b ^ frame[2 + i % 4]);
      if ((frame[0] & 15) === 8) return stream.end(Buffer.from([0x88, 0]));
      stream.write(Buffer.concat([Buffer.from([0x81, payload.length]), payload]));
    });
  } else if (path === '/events') {
    stream.respond({':status': 200, 'content-type': 'text/event-stream'});
    let sent = 0;
    const timer = setInterval(() => {
      if (sent++ === 20) { clearInterval(timer); return stream.end(); }
      stream.write(`data: ${process.hrtime.bigint()}\n\n`);
    }, 20);
  } else if (path === '/trailers') {
    stream.respond({':status': 200}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'x-sum': '42'}));
    stream.end('body');
  } else if (path === '/reset') {
    stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  } else if (path === '/endless') {
    stream.respond({':status': 200});
    const piece = Buffer.alloc(65536);
    const more = () => { while (!stream.destroyed && stream.write(piece)); };
    stream.on('drain', more);
    more();
  } else {
    stream.respond({':status': 200, 'x-method': headers[':method']});
    stream.pipe(stream);
  }
});
server.listen(Number(process.argv[2]), '127.0.0.1');
