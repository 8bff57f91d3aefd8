//! Messages of nfnetlink and their attributes (include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h). Numbers are
//! in network order.

use std::io;

use netlink_packet_core::{NLA_F_NESTED, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};

/// The subsystem nf_tables.
const SUBSYSTEM: u16 = 10;

/// A message about tables: the part behind the header of netlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    kind: u16,
    /// Of addresses, as in `NFPROTO_*`.
    pub(super) family: u8,
    resource: u16,
    pub(super) attributes: Vec<u8>,
}

/// What precedes the attributes (`struct nfgenmsg`).
const HEADER_LEN: usize = 4;

impl Message {
    /// One of `NFT_MSG_*`.
    pub(super) fn new(kind: u16, family: u8, attributes: Attributes) -> Self {
        Self { kind: SUBSYSTEM << 8 | kind, family, resource: 0, attributes: attributes.0 }
    }

    /// What is between these is done as a whole or not at all.
    pub(super) const fn batch() -> [Self; 2] {
        const fn mark(kind: u16) -> Message {
            Message { kind, family: 0, resource: SUBSYSTEM, attributes: Vec::new() }
        }
        [mark(0x10), mark(0x11)]
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER_LEN);
        let [high, low] = self.resource.to_be_bytes();
        header.copy_from_slice(&[self.family, 0, high, low]);
        attributes.copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = io::Error;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> io::Result<Self> {
        let (generic, attributes) =
            payload.split_first_chunk::<HEADER_LEN>().ok_or_else(|| io::Error::other("it is too short"))?;
        let [family, _, high, low] = *generic;
        let resource = u16::from_be_bytes([high, low]);
        Ok(Self { kind: header.message_type, family, resource, attributes: attributes.to_vec() })
    }
}

/// Attributes, one behind the other, each at a multiple of four bytes.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = value.len() + 4;
        self.0.extend((length as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn nested(self, kind: u16, value: &Self) -> Self {
        self.bytes(kind | NLA_F_NESTED, &value.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned_and_nest() {
        let inner = Attributes::default().number(1, 5);
        let all = Attributes::default().text(2, "ab").nested(3, &inner);
        let mut expected = vec![7, 0, 2, 0, b'a', b'b', 0, 0];
        expected.extend([12, 0, 3, 0x80, 8, 0, 1, 0, 0, 0, 0, 5]);
        assert_eq!(all.0, expected);
    }

    #[test]
    fn a_message_is_read_as_it_is_written() {
        let message = Message::new(3, 1, Attributes::default().number(1, 5));
        let mut buffer = vec![0; message.buffer_len()];
        message.serialize(&mut buffer);
        let mut header = NetlinkHeader::default();
        header.message_type = message.message_type();
        assert_eq!(Message::deserialize(&header, &buffer).unwrap(), message);
        assert!(Message::deserialize(&header, &[1, 0]).is_err());
    }
}
