// SPDX-License-Identifier: Apache-2.0
// Node's own HTTP/2 client against h2_server.mjs; prints "fine" or fails.
import assert from 'node:assert/strict';
import http2 from 'node:http2';

const session = http2.connect(process.argv[2]);
session.on('error', (error) => { console.error(error); process.exit(1); });
await new Promise((ready) => session.once('remoteSettings', ready));

function ask(headers, body) {
  return new Promise((resolve) => {
    const stream = session.request(headers, {endStream: body === undefined});
    const got = {body: '', times: []};
    stream.on('response', (head) => { got.status = head[':status']; got.headers = head; });
    stream.on('trailers', (fields) => { got.trailers = fields; });
    stream.on('data', (data) => {
      for (const line of data.toString().match(/\d{6,}/g) ?? [])
        got.times.push(Number(process.hrtime.bigint() - BigInt(line)) / 1e6);
      got.body += data;
    });
    stream.on('error', (error) => { got.error = error.code; });
    stream.on('close', () => { got.code = stream.rstCode; resolve(got); });
    if (body !== undefined) stream.end(body);
  });
}

// Many at once, of which some are refused: each has its own answer.
const paths = Array.from({length: 60}, (_, i) => i % 3 ? `/echo/${i}` : `/admin/${i}`);
const all = await Promise.all(paths.map((path, i) => ask({':path': path, ':method': 'POST'}, `n${i}`)));
all.forEach((got, i) => {
  assert.equal(got.status, i % 3 ? 200 : 403, paths[i]);
  if (i % 3) assert.equal(got.body, `n${i}`);
  else assert.match(got.body, /"rule":"no-admin"/);
});
const large = 'x'.repeat(3_000_000);
assert.equal((await ask({':path': '/echo', ':method': 'POST'}, large)).body, large);
assert.equal((await ask({':path': '/trailers'})).trailers['x-sum'], '42');
assert.equal((await ask({':path': '/reset'})).code, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);

// Events come as they are sent: all 20 take 400 ms, and the first would be that late if they were
// kept. The rest is the machine's load.
const events = await ask({':path': '/events'});
assert.equal(events.times.length, 20);
const late = events.times.toSorted((a, b) => a - b);
assert.ok(late[10] < 150, `the median event came ${late[10]} ms late`);
console.log(`median delay of an event ${late[10].toFixed(2)} ms, last ${late[19].toFixed(2)} ms`);

// A WebSocket in a stream (RFC 8441).
assert.equal(session.remoteSettings.enableConnectProtocol, true);
const frame = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
function socket(path, texts) {
  return new Promise((resolve) => {
    const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':path': path,
                                    'sec-websocket-version': '13'}, {endStream: false});
    let got = Buffer.alloc(0), status = 0;
    const next = () => { const text = texts.shift(); if (text) stream.write(frame(text)); };
    stream.on('response', (head) => { status = head[':status']; if (status === 200) next(); });
    stream.on('data', (data) => { got = Buffer.concat([got, data]); if (data[0] === 0x88) stream.end(); else next(); });
    stream.on('error', () => {});
    stream.on('close', () => resolve({status, got}));
    stream.on('end', () => stream.end());
    setTimeout(() => stream.close(), 3000).unref();
  });
}
const spoken = await socket('/chat', ['hello', 'a secret', 'never']);
assert.equal(spoken.status, 200);
assert.equal(spoken.got.subarray(0, 7).toString('latin1'), '\x81\x05hello');
assert.equal(spoken.got[7], 0x88);
assert.equal(spoken.got.readUInt16BE(9), 1008);
assert.ok(!spoken.got.includes('never'));
assert.equal((await socket('/admin/chat', ['x'])).status, 403);
session.close();
console.log('fine');
