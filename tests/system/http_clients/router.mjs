// SPDX-License-Identifier: Apache-2.0
// Says "the admin page" to whoever asks for what any of a server's usual readings takes for /admin or
// something below it. Arguments: port.
import http from 'node:http';
import path from 'node:path';

const attempt = (work, fallback) => { try { return work(); } catch { return fallback; } };
const decoded = (text) => attempt(() => decodeURIComponent(text), text);

function readings(target) {
  const raw = target.split('?')[0];
  const parsed = attempt(() => new URL(target, 'http://x').pathname, raw);
  const all = new Set();
  const text = Buffer.from(raw, 'latin1').toString();
  for (const one of [raw, parsed, text, text.normalize('NFKC'), raw.trim()]) {
    for (const text of [one, decoded(one), decoded(decoded(one))]) {
      const slashes = text.replaceAll('\\', '/').replace(/\/+/g, '/');
      const bare = slashes.split('/').map((segment) => segment.split(';')[0]).join('/');
      const normal = bare.normalize('NFKC').replace(/[\u00ad\u200b-\u200f]/g, '').trim();
      for (const shape of [text, slashes, bare, bare.split('\0')[0], bare.replace(/\.+$/, ''), normal,
        normal.replaceAll('\u0131', 'i').split(';')[0]]) {
        all.add(shape);
        all.add(path.posix.normalize(shape));
      }
    }
  }
  return [...all];
}

http.createServer((request, response) => {
  const admin = readings(request.url).some((one) => /^\/admin(\/|$)/i.test(one));
  response.end(admin ? 'the admin page\n' : 'another page\n');
}).listen(Number(process.argv[2]), '127.0.0.1');
