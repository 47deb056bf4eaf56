// SPDX-License-Identifier: Apache-2.0
// fetch, as an agent uses it. Argument: the base URL.
import assert from 'node:assert';

const base = process.argv[2];
await Promise.all(Array.from({length: 30}, async (_, i) => {
  const got = await fetch(`${base}/echo?n=${i}`);
  assert.equal(got.status, 200);
  assert.equal(await got.text(), `GET /echo?n=${i} \n`);
}));
const put = await fetch(base + '/upload/node', {method: 'PUT', body: 'z'.repeat(200000)});
assert.ok([201, 204].includes(put.status), String(put.status));
const denied = await fetch(base + '/upload/node', {method: 'DELETE'});
assert.equal(denied.status, 403);
assert.equal((await denied.json()).rule, 'no-delete');
assert.equal((await (await fetch(base + '/big')).arrayBuffer()).byteLength, 1000000);
console.log('node fine');
