// SPDX-License-Identifier: Apache-2.0
// rustls with the host's own roots, as Rust's HTTP clients use it. Arguments: host, port, path.
// Prints the status line and the body of a GET.
use std::io::{Read, Write};
use std::{env, net::TcpStream, sync::Arc};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let mut roots = rustls::RootCertStore::empty();
    for root in rustls_native_certs::load_native_certs().expect("the host's roots") {
        let _ = roots.add(&rustls::Certificate(root.0));
    }
    let config = rustls::ClientConfig::builder()
        .with_safe_defaults()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = arguments[1].as_str().try_into().expect("a host name");
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).expect("TLS");
    let mut socket =
        TcpStream::connect((arguments[1].as_str(), arguments[2].parse().unwrap())).expect("connect");
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n\r\n",
        arguments[3], arguments[1], arguments[2]
    )
    .expect("a trusted server");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    println!("{}\n{}", head.lines().next().unwrap(), body);
}
