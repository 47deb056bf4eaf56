// SPDX-License-Identifier: Apache-2.0
// node-postgres: text results, named statements, errors by code. Arguments: host port sslmode ca.
const assert = require('assert');
const fs = require('fs');
const { Client } = require('pg');

const [host, port, sslmode, ca] = process.argv.slice(2);

async function main() {
  const ssl = sslmode === 'disable' ? false : { ca: fs.readFileSync(ca) };
  const client = new Client({ host, port, user: 'agent', password: 'x', database: 'shop', ssl });
  await client.connect();
  for (let i = 0; i < 3; ++i) {
    const { rows } = await client.query({
      name: 'by-id', text: 'SELECT id, email, balance FROM customers WHERE id = $1', values: [1] });
    assert.strictEqual(rows[0].id, 1);
    assert.strictEqual(rows[0].balance, 10);
    assert(!rows[0].email.includes('example.com'), rows[0].email);
  }
  await assert.rejects(client.query('DROP TABLE customers'), { code: '42501' });
  await assert.rejects(client.query('SELECT FROM WHERE $1', [1]), (e) => Boolean(e.code));
  await assert.rejects(client.query('TRUNCATE notes', []), { code: '42501' });
  const many = await client.query('SELECT 1 AS a; SELECT 2 AS b');
  assert.strictEqual(many[1].rows[0].b, 2);
  await client.end();
  console.log('ok');
}

main().catch((error) => { console.error(error); process.exit(1); });
