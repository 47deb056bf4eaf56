// SPDX-License-Identifier: Apache-2.0
// undici with requests in a pipeline on one connection, and Node's http with trailers both ways.
// Arguments: the global modules' folder, nginx's URL, the port of trailers.mjs.
import assert from 'node:assert/strict';
import http from 'node:http';
import {createRequire} from 'node:module';

const [modules, base, port] = process.argv.slice(2);
const {Pool} = createRequire(modules + '/')('undici');
const pool = new Pool(base, {connections: 1, pipelining: 8});
const answers = await Promise.all(Array.from({length: 200}, async (_, i) => {
  const refused = i % 5 === 0;
  const path = refused ? `/admin/${i}` : `/echo?n=${i}`;
  const got = await pool.request({path, method: 'GET'});
  const text = await got.body.text();
  assert.equal(got.statusCode, refused ? 403 : 200, path);
  if (refused) assert.equal(JSON.parse(text).rule, 'no-admin');
  else assert.equal(text, `GET /echo?n=${i} \n`);
  return got.statusCode;
}));
assert.equal(answers.length, 200);
await pool.close();

const trailers = await new Promise((resolve, reject) => {
  const request = http.request({host: '127.0.0.1', port, method: 'POST', path: '/sum',
                                headers: {Trailer: 'x-sum'}}, (answer) => {
    answer.resume();
    answer.on('end', () => resolve(answer.trailers));
  });
  request.on('error', reject);
  request.write('some ');
  request.write('text');
  request.addTrailers({'x-sum': '9'});
  request.end();
});
assert.equal(trailers['x-seen'], '9 of 9');
console.log('fine');
