// SPDX-License-Identifier: Apache-2.0
// The ws package as a client of ws_server.cjs; prints "fine" or fails. Arguments: the global
// modules' folder, the base URL.
const assert = require('assert/strict');
const WebSocket = require(process.argv[2] + '/ws');

const open = (path, options) => new Promise((resolve, reject) => {
  const socket = new WebSocket(process.argv[3] + path, options);
  socket.on('open', () => resolve(socket));
  socket.on('error', reject);
});
const next = (socket) => new Promise((resolve, reject) => {
  socket.once('message', (data, binary) => resolve(binary ? data : data.toString()));
  socket.once('close', (code, why) => reject(Object.assign(new Error(`closed ${code} ${why}`), {code})));
});

(async () => {
  for (const perMessageDeflate of [{threshold: 0}, false]) {
    const socket = await open('/chat', {perMessageDeflate});
    assert.equal(socket.extensions.includes('permessage-deflate'), Boolean(perMessageDeflate));
    for (const text of ['hello', '', 'ä€'.repeat(5000), 'x'.repeat(500000)]) {
      socket.send(text);
      assert.equal(await next(socket), text);
    }
    socket.send(Buffer.from([0, 1, 2]));
    assert.deepEqual(await next(socket), Buffer.from([0, 1, 2]));
    const pong = new Promise((resolve) => socket.once('pong', resolve));
    socket.ping('p');
    await pong;
    socket.send('a secret of ours');
    await assert.rejects(next(socket), (error) => error.code === 1008 && /no-secrets/.test(error.message));

    const masked = await open('/masked', {perMessageDeflate});
    masked.send('write to ann@shop.example');
    assert.equal(await next(masked), 'write to <EMAIL_ADDRESS>');
    masked.close();
  }
  await assert.rejects(open('/admin'), /403/);
  console.log('fine');
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
