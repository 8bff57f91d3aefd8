//! What stands for Envoy: everything that is redirected comes to it.

use std::net::SocketAddr;

use super::{OUTBOUND, PYTHON, Pod, SIDECAR};
use crate::{cgroup::TestCgroup, client::Client};

/// It answers each connection with `proxy ADDRESS:PORT`, the destination before the redirection.
pub struct CatchAll(Client);

impl CatchAll {
    /// Starts it in a pod as the sidecar's user, and in the cgroup if one is given.
    pub fn start(pod: &Pod, cgroup: Option<&TestCgroup>) -> Self {
        let body = format!(
            "
import threading
SO_ORIGINAL_DST = 80
def v4(s):
    port, host = struct.unpack('!2xH4s8x', s.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16))
    return f'{{socket.inet_ntop(socket.AF_INET, host)}}:{{port}}'
def v6(s):
    port, host = struct.unpack('!2xH4x16s4x', s.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28))
    return f'[{{socket.inet_ntop(socket.AF_INET6, host)}}]:{{port}}'
def serve(listener, original):
    while True:
        s, _ = listener.accept()
        with s:
            try: destination = original(s)
            except OSError as e: destination = errno.errorcode[e.errno]
            # A client that has gone away again does not matter; closing with unread data would reset the connection.
            try:
                s.sendall(f'proxy {{destination}}\\n'.encode())
                s.recv(4096, socket.MSG_DONTWAIT)
            except OSError: pass
for host, original in [('0.0.0.0', v4), ('::', v6)]:
    # One for `::` takes IPv6 alone.
    listener = socket.create_server((host, {OUTBOUND}), family=family(host), backlog=100)
    threading.Thread(target=serve, args=(listener, original), daemon=True).start()
print('ready', flush=True)
for line in sys.stdin:
    host, port = line.split()
    print(answer(host, int(port)), flush=True)
"
        );
        let mut client = Client::start(pod.command(cgroup, SIDECAR, PYTHON), &body);
        assert_eq!(client.line(), "ready");
        Self(client)
    }

    /// Who answers its own connection to an address, or else the name of the error.
    pub fn ask(&mut self, dialled: SocketAddr) -> String {
        self.0.tell(&format!("{} {}", dialled.ip(), dialled.port()));
        self.0.line()
    }
}
