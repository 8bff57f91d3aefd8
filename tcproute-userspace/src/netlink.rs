//! netlink(7): asking the kernel, and its answers, whatever they are about.

use std::{fmt::Display, io};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::Socket;

/// A way to one of the kernel's subsystems, in the network namespace of this thread.
pub(crate) fn open(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// A message as it is sent.
pub(crate) fn request(message: impl NetlinkSerializable, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    // What follows begins at a multiple of four.
    let mut buffer = vec![0; message.buffer_len().next_multiple_of(4)];
    message.serialize(&mut buffer);
    buffer
}

/// Everything of a kind. An error of the kind `Interrupted` if that has changed meanwhile, and so may not be all.
pub(crate) fn dump<M: NetlinkDeserializable<Error: Display>>(
    socket: &Socket,
    message: impl NetlinkSerializable,
    mut each: impl FnMut(M),
) -> io::Result<()> {
    socket.send(&request(message, NLM_F_DUMP), 0)?;
    let mut is_torn = false;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for message in messages::<M>(&datagram) {
            let message = message?;
            is_torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(message) => each(message),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(io::Error::from_raw_os_error(-done.code));
                }
                NetlinkPayload::Done(_) if is_torn => return Err(io::ErrorKind::Interrupted.into()),
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
        }
    }
}

/// The messages of a datagram. After one that cannot be read there are no more.
pub(crate) fn messages<M: NetlinkDeserializable<Error: Display>>(
    datagram: &[u8],
) -> impl Iterator<Item = io::Result<NetlinkMessage<M>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other);
        let length = message.as_ref().map_or(rest.len(), |message| message.header.length as usize);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}
