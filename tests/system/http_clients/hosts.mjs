// SPDX-License-Identifier: Apache-2.0
// Says "the inner page" to whoever names, in any way that some server reads so, the host
// inner.internal or the address 127.0.0.9. Arguments: ports for HTTP/1.1, for HTTP/2 in clear text,
// and for both within TLS; key, certificate.
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';

const [plain, clear, secure, key, cert] = process.argv.slice(2);
const attempt = (work) => { try { return work(); } catch { return ''; } };

function names(authority) {
  const all = [authority, ...authority.split(/[\s,;@/\\?#|]+/)];
  for (const one of [...all]) {
    all.push(attempt(() => new URL(`http://${one}/`).hostname), attempt(() => decodeURIComponent(one)));
    all.push(one.normalize('NFKC'), attempt(() => new URL(`http://${one.normalize('NFKC')}/`).hostname));
  }
  return all.map((one) => one.toLowerCase().replace(/:[^:\]]*$/, '').replace(/\.+$/, '')
    .replace(/^\[::ffff:7f00:9\]$/, '127.0.0.9').replace(/^\[|\]$/g, ''));
}

function answer(request, response) {
  const said = [request.headers[':authority'], request.headers.host].filter((one) => one);
  const target = attempt(() => new URL(request.url).host);
  const meant = [...said, target].flatMap((one) => names(one.toString()));
  const inner = meant.includes('inner.internal') || meant.includes('127.0.0.9');
  response.writeHead(200, {'content-type': 'text/plain'});
  response.end(inner ? 'the inner page\n' : 'another page\n');
}

const one = {insecureHTTPParser: true, requireHostHeader: false};
http.createServer(one, answer).listen(Number(plain), '127.0.0.1');
http2.createServer(answer).listen(Number(clear), '127.0.0.1');
http2.createSecureServer({key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true},
                         answer).listen(Number(secure), '127.0.0.1');
