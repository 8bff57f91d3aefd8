//! sock_diag(7): the TCP sockets of a network namespace, and ending their connections.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLA_TYPE_MASK, NLM_F_ACK, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable, Nla, NlaBuffer, NlasIterator,
};
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_TCP, SOCK_DIAG_BY_FAMILY, SockDiagDestroy, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas},
};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};
use nix::libc::{ENOENT, EOPNOTSUPP, ESTALE};
use tcproute_common::{ConnectionState, Kept, SocketAddress};
use thiserror::Error;

use crate::netlink;

/// The families of TCP sockets.
pub(super) const FAMILIES: [u8; 2] = [AF_INET, AF_INET6];

/// Of include/uapi/linux/inet_diag.h and sock_diag.h, beyond what the crate has.
const INET_DIAG_REQ_SK_BPF_STORAGES: u16 = 2;
const INET_DIAG_SK_BPF_STORAGES: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
const SK_DIAG_BPF_STORAGE_REQ_MAP_FD: u16 = 1;
const SK_DIAG_BPF_STORAGE_MAP_VALUE: u16 = 3;

/// Why connections cannot be closed here.
#[derive(Debug, Error)]
pub enum Unsupported {
    /// There is nobody who knows of TCP sockets.
    #[error("the kernel does not list TCP sockets (CONFIG_INET_TCP_DIAG): load the module tcp_diag")]
    Listing,
    /// They can be listed, but not destroyed.
    #[error("the kernel cannot close connections of others (CONFIG_INET_DIAG_DESTROY): boot one that can")]
    Closing,
    /// It does not say.
    #[error("cannot ask the kernel for sockets: {0}")]
    Failed(#[from] io::Error),
}

/// A socket with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    family: u8,
    id: SocketId,
    /// The cgroup in which it was made.
    pub(super) cgroup: u64,
    /// What the programs keep for it, if that is not in a place.
    pub(super) stored: Option<ConnectionState>,
}

impl Connection {
    /// The cookie by which the programs know it.
    pub(super) fn cookie(&self) -> u64 {
        let (words, _) = self.id.cookie.as_chunks();
        let [low, high] = [words[0], words[1]].map(u32::from_ne_bytes);
        u64::from(high) << 32 | u64::from(low)
    }

    /// Where it leads.
    pub(super) fn peer(&self) -> SocketAddress {
        SocketAddr::new(self.id.destination_address, self.id.destination_port).into()
    }

    /// `None` for one that no application has any more: the kernel brings those to their end by itself, with what was
    /// sent.
    fn read(InetResponse { header, nlas }: &InetResponse) -> Option<Self> {
        let other = |wanted: u16| {
            nlas.iter().find_map(|nla| match nla {
                nlas::Nla::Other(nla) if nla.kind() & NLA_TYPE_MASK == wanted => Some(value(nla)),
                _ => None,
            })
        };
        let cgroup = u64::from_ne_bytes(other(INET_DIAG_CGROUP_ID)?.try_into().ok()?);
        let mut connection =
            Self { family: header.family, id: header.socket_id.clone(), cgroup, stored: None };
        let kept = other(INET_DIAG_SK_BPF_STORAGES).and_then(|storages| kept(&storages));
        connection.stored = kept.filter(|kept| kept.cookie == connection.cookie()).map(|kept| kept.state);
        (header.inode != 0).then_some(connection)
    }
}

fn value(nla: &DefaultNla) -> Vec<u8> {
    let mut value = vec![0; nla.value_len()];
    nla.emit_value(&mut value);
    value
}

/// The value of the only map that was asked for.
fn kept(storages: &[u8]) -> Option<Kept> {
    let storage = NlasIterator::new(storages).next()?.ok()?;
    let attributes = NlasIterator::new(storage.value()).filter_map(Result::ok);
    let mut values = attributes.filter(|attribute| attribute.kind() == SK_DIAG_BPF_STORAGE_MAP_VALUE);
    let value: NlaBuffer<&[u8]> = values.next()?;
    let bytes = value.value();
    // SAFETY: so many bytes are there, and a map value may be any bytes.
    (bytes.len() >= size_of::<Kept>()).then(|| unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) })
}

/// States in which an application may wait for its peer.
pub(super) fn open_states() -> StateFlags {
    StateFlags::ESTABLISHED
        | StateFlags::SYN_SENT
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT
}

/// The sockets of the network namespace in which this was opened.
pub(super) struct SockDiag(Socket);

impl SockDiag {
    pub(super) fn open() -> io::Result<Self> {
        netlink::open(NETLINK_SOCK_DIAG).map(Self)
    }

    /// Whether connections can be closed: there is one that cannot be there to ask for.
    pub(super) fn probe(&self) -> Result<(), Unsupported> {
        match self.dump(AF_INET, StateFlags::empty(), None, |_| {}) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => return Err(Unsupported::Listing),
            listed => listed?,
        }
        let nobody = Connection { family: AF_INET, id: SocketId::new_v4(), cgroup: 0, stored: None };
        match self.destroy(&nobody) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(EOPNOTSUPP) => Err(Unsupported::Closing),
            Err(error) => Err(error.into()),
        }
    }

    /// All sockets of a family with a connection, with what the map `overflow` has for them.
    pub(super) fn connections(
        &self,
        family: u8,
        overflow: BorrowedFd<'_>,
        mut each: impl FnMut(Connection),
    ) -> io::Result<()> {
        self.dump(family, open_states(), Some(overflow), |response| {
            if let Some(connection) = Connection::read(response) {
                each(connection);
            }
        })
    }

    fn dump(
        &self,
        family: u8,
        states: StateFlags,
        overflow: Option<BorrowedFd<'_>>,
        mut each: impl FnMut(&InetResponse),
    ) -> io::Result<()> {
        let storages = overflow.map(|map| {
            let map = DefaultNla::new(SK_DIAG_BPF_STORAGE_REQ_MAP_FD, map.as_raw_fd().to_ne_bytes().to_vec());
            DefaultNla::new(INET_DIAG_REQ_SK_BPF_STORAGES | NLA_F_NESTED, bytes(&map))
        });
        let id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
        let request = Dump { request: request(family, states, id), storages };
        let dumped = netlink::dump(&self.0, request, |message| {
            if let SockDiagMessage::InetResponse(response) = message {
                each(&response);
            }
        });
        // Sockets come and go all the time.
        dumped.or_else(|error| if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) })
    }

    /// Ends a connection as a reset would: its application gets ECONNABORTED, its peer an RST. Whether it was still
    /// there, as it was.
    pub(super) fn destroy(&self, connection: &Connection) -> io::Result<bool> {
        // In any state.
        let request = request(connection.family, StateFlags::all(), connection.id.clone());
        let request = SockDiagDestroy::new(SockDiagMessage::InetRequest(request));
        self.0.send(&netlink::request(request, NLM_F_ACK), 0)?;
        let (datagram, _) = self.0.recv_from_full()?;
        let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&datagram).map_err(io::Error::other)?;
        match answer.payload {
            NetlinkPayload::Error(error) => match error.raw_code() {
                0 => Ok(true),
                // Its addresses are nobody's, or another's.
                code if code == -ENOENT || code == -ESTALE => Ok(false),
                _ => Err(error.to_io()),
            },
            _ => Err(io::Error::other("the kernel's answer is none")),
        }
    }
}

/// The crate's request has no attributes.
struct Dump {
    request: InetRequest,
    storages: Option<DefaultNla>,
}

impl NetlinkSerializable for Dump {
    fn message_type(&self) -> u16 {
        SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        self.request.buffer_len() + self.storages.as_ref().map_or(0, Emitable::buffer_len)
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (request, attributes) = buffer.split_at_mut(self.request.buffer_len());
        self.request.emit(request);
        if let Some(storages) = &self.storages {
            storages.emit(attributes);
        }
    }
}

fn request(family: u8, states: StateFlags, socket_id: SocketId) -> InetRequest {
    InetRequest { family, protocol: IPPROTO_TCP, extensions: ExtensionFlags::empty(), states, socket_id }
}

fn bytes(emitable: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; emitable.buffer_len()];
    emitable.emit(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use netlink_packet_sock_diag::inet::InetResponseHeader;
    use tcproute_common::SpinLock;

    use super::*;

    fn state(port: u16) -> ConnectionState {
        let address = |port| SocketAddress::from(SocketAddr::from(([127, 0, 0, 1], port)));
        ConnectionState::new(&address(1), &address(port), 0)
    }

    /// An answer of the kernel for a socket with this cookie, in `overflow` under that one.
    fn answer(inode: u32, cookie: u64, stored_under: u64) -> InetResponse {
        let kept = Kept {
            claims: 0,
            lock: SpinLock::FREE,
            phase: 3,
            marked: 0,
            generation: 0,
            traced: 0,
            cookie: stored_under,
            state: state(10),
        };
        // SAFETY: a value of a map is plain bytes.
        let value: [u8; size_of::<Kept>()] = unsafe { std::mem::transmute(kept) };
        let map_id = bytes(&DefaultNla::new(2, vec![7, 0, 0, 0]));
        let value = bytes(&DefaultNla::new(SK_DIAG_BPF_STORAGE_MAP_VALUE, value.to_vec()));
        let storage = bytes(&DefaultNla::new(1 | NLA_F_NESTED, [map_id, value].concat()));
        let header = InetResponseHeader {
            family: AF_INET,
            state: 1,
            timer: None,
            socket_id: SocketId { cookie: cookie.to_le_bytes(), destination_port: 10, ..SocketId::new_v4() },
            recv_queue: 0,
            send_queue: 0,
            uid: 0,
            inode,
        };
        let cgroup = DefaultNla::new(INET_DIAG_CGROUP_ID, 77_u64.to_ne_bytes().to_vec());
        let storages = DefaultNla::new(INET_DIAG_SK_BPF_STORAGES | NLA_F_NESTED, storage);
        InetResponse { header, nlas: [cgroup, storages].map(nlas::Nla::Other).into_iter().collect() }
    }

    #[test]
    fn a_socket_is_read_with_what_is_kept_for_it() {
        let connection = Connection::read(&answer(5, 0x1_0000_0002, 0x1_0000_0002)).unwrap();
        assert_eq!((connection.cookie(), connection.cgroup), (0x1_0000_0002, 77));
        assert_eq!(connection.stored, Some(state(10)));
        assert_eq!(connection.peer(), SocketAddr::from(([0, 0, 0, 0], 10)).into());
        // Of another socket.
        assert_eq!(Connection::read(&answer(5, 2, 3)).unwrap().stored, None);
    }

    #[test]
    fn a_socket_that_no_application_has_is_left_alone() {
        assert_eq!(Connection::read(&answer(0, 2, 2)), None);
    }

    #[test]
    fn a_value_that_is_too_short_is_none() {
        let value = bytes(&DefaultNla::new(SK_DIAG_BPF_STORAGE_MAP_VALUE, vec![0; 63]));
        assert!(kept(&bytes(&DefaultNla::new(1, value))).is_none());
        assert!(kept(&[1, 2, 3]).is_none());
    }
}
