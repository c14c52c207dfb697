//! etcd 3.3 is asked under an older path than the client uses, and the client refuses it by its number; everything else is the
//! same.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What the client's requests begin with, and what 3.3 understands.
const PATHS: [(&[u8], &[u8]); 3] = [
    (b"POST /v3/lease/revoke", b"POST /v3beta/kv/lease/revoke"),
    (
        b"POST /v3/lease/timetolive",
        b"POST /v3beta/kv/lease/timetolive",
    ),
    (b"POST /v3/", b"POST /v3beta/"),
];

/// What the server says of itself, and what the client wants to hear; of one length, as its header says how long it is.
const NUMBERS: (&[u8], &[u8]) = (b"\"etcdserver\":\"3.3.", b"\"etcdserver\":\"3.4.");

/// Listens on a loopback port and passes everything on, but for the path and the number.
pub(crate) struct Translator {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
}

impl Translator {
    pub(crate) fn new(server: SocketAddr) -> Translator {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let closing = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&closing);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let upstream = TcpStream::connect(server).unwrap();
                let (from, to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass(from, to, false));
                thread::spawn(move || pass(client, upstream, true));
            }
        });
        Translator { address, closing }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Translator {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// Until one side closes. A request's head comes in one piece, and nothing in a body looks like it: what is in there is base64.
fn pass(mut from: TcpStream, mut to: TcpStream, requests: bool) {
    let mut copy = || -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        loop {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            let bytes = &mut buffer[..n];
            let path = PATHS.iter().find(|(ours, _)| bytes.starts_with(ours));
            if let Some((ours, theirs)) = path.filter(|_| requests) {
                to.write_all(&[theirs, &bytes[ours.len()..]].concat())?;
                continue;
            }
            let number = NUMBERS.0.len();
            if let Some(at) = bytes.windows(number).position(|part| part == NUMBERS.0) {
                bytes[at..at + number].copy_from_slice(NUMBERS.1);
            }
            to.write_all(bytes)?;
        }
    };
    // An end is an end, however it came.
    let _ = copy();
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
