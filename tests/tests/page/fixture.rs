//! A daemon whose page is asked, also over TCP as a browser does.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, binary},
};

/// `web` dials `db`, of which the version `a` and `b` are served and `c` has no endpoint.
pub(crate) struct Setup {
    pub(crate) dialled: SocketAddr,
    pub(crate) servers: [Server; 2],
    pub(crate) mesh: Mesh,
    pub(crate) cgroup: TestCgroup,
    pub(crate) admin: SocketAddr,
}

impl Setup {
    pub(crate) fn new(weights: &[(&str, u32)]) -> Self {
        let net = Loopback::claim();
        let dialled = (net.ip(0, 1), 5432).into();
        let servers = [Server::start((net.ip(1, 1), 0), "a"), Server::start((net.ip(1, 2), 0), "b")];
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).split("db", weights);
        mesh.endpoint("db", "a", servers[0].address()).endpoint("db", "b", servers[1].address());
        Self { dialled, servers, mesh, cgroup: TestCgroup::create(), admin: (net.ip(9, 1), 9901).into() }
    }

    /// Adds outbounds to as many services, which nobody serves.
    pub(crate) fn more(&mut self, services: u16) {
        for number in 0..services {
            let [high, low] = number.to_be_bytes();
            let address = ([127, self.octet(), 100 + high, low], 5432).into();
            self.mesh.outbound(&format!("svc-{number:04}"), address);
        }
    }

    fn octet(&self) -> u8 {
        match self.dialled {
            SocketAddr::V4(address) => address.ip().octets()[1],
            SocketAddr::V6(_) => unreachable!("it is of 127.0.0.0/8"),
        }
    }

    pub(crate) fn daemon(&self, more: &[&str]) -> Daemon {
        let admin = self.admin.to_string();
        let arguments = [&["--admin-listen", &admin], more].concat();
        let workloads = [("web", self.cgroup.path())];
        Daemon::start_with(&mut Command::new(binary()), &self.mesh.file(), &workloads, &arguments)
    }

    pub(crate) fn stream(&self, query: &str) -> Stream {
        Stream::open(self.admin, query)
    }
}

/// What a page is told.
pub(crate) struct Stream {
    pub(crate) head: String,
    lines: BufReader<TcpStream>,
}

impl Stream {
    pub(crate) fn open(admin: SocketAddr, query: &str) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // Of 1.0, for an answer as it is, not in chunks.
        write!(stream, "GET /v1/view{query} HTTP/1.0\r\nHost: {admin}\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Self { head, lines }
    }

    pub(crate) fn code(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next view that is told.
    pub(crate) fn view(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream has ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// The next view of which something holds.
    pub(crate) fn view_where(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..30 {
            let view = self.view();
            if holds(&view) {
                return view;
            }
        }
        panic!("waited in vain: {what}");
    }

    /// All that comes until the end.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        rest
    }
}
