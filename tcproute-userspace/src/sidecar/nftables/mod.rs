//! nftables over netlink, as far as it is needed here: which chains and rules there are, and changes that are made as a
//! whole.

mod message;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use message::{Attributes, Message};
use netlink_packet_core::{NLA_TYPE_MASK, NLM_F_ACK, NLM_F_CREATE, NetlinkPayload, NlasIterator};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use crate::netlink;

/// Families of tables (include/uapi/linux/netfilter.h).
pub(super) const INET: u8 = 1;
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;

/// Who is told of changes of tables.
const CHANGES_OF_TABLES: u32 = 7;

/// So many chains or rules are kept of an answer: more than there are of anything that is looked for.
const MOST: usize = 1000;

/// How often to ask again.
const ATTEMPTS: usize = 16;

/// Of `NFT_MSG_*`.
mod messages {
    pub(super) const NEWTABLE: u16 = 0;
    pub(super) const DELTABLE: u16 = 2;
    pub(super) const NEWCHAIN: u16 = 3;
    pub(super) const GETCHAIN: u16 = 4;
    pub(super) const NEWRULE: u16 = 6;
    pub(super) const GETRULE: u16 = 7;
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) family: u8,
    pub(super) table: String,
    pub(super) name: String,
    /// Whether the kernel runs it by itself.
    pub(super) is_hooked: bool,
}

/// The tables of the network namespace in which this was opened.
pub(super) struct Nftables(Socket);

impl Nftables {
    pub(super) fn open() -> io::Result<Self> {
        netlink::open(NETLINK_NETFILTER).map(Self)
    }

    /// The chains of all tables that are asked for. A namespace may have any number of others.
    pub(super) fn chains(&self, is_wanted: impl Fn(&Chain) -> bool) -> io::Result<Vec<Chain>> {
        let all = Message::new(messages::GETCHAIN, 0, Attributes::default());
        self.dump(&all, |message| {
            let text = |kind| text(&message.attributes, kind);
            let is_hooked = find(&message.attributes, 4).is_some();
            let chain = Chain { family: message.family, table: text(1)?, name: text(3)?, is_hooked };
            is_wanted(&chain).then_some(chain)
        })
    }

    /// The comments of a chain's rules, in their order.
    pub(super) fn comments(&self, family: u8, table: &str, chain: &str) -> io::Result<Vec<String>> {
        let of_chain = Attributes::default().text(1, table).text(2, chain);
        self.dump(&Message::new(messages::GETRULE, family, of_chain), |message| {
            Some(find(&message.attributes, 7).and_then(comment).unwrap_or_default())
        })
    }

    /// Asks again where tables change meanwhile.
    fn dump<T>(&self, request: &Message, read: impl Fn(&Message) -> Option<T>) -> io::Result<Vec<T>> {
        let mut attempts = 0;
        loop {
            let mut all = Vec::new();
            let mut take = |message| {
                if all.len() < MOST {
                    all.extend(read(&message));
                }
            };
            match netlink::dump(&self.0, request.clone(), &mut take) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && attempts < ATTEMPTS => {
                    attempts += 1;
                }
                dumped => return dumped.map(|()| all),
            }
        }
    }

    /// Makes changes, all of them or none.
    pub(super) fn apply(&self, changes: Vec<Change>) -> io::Result<()> {
        let [begin, end] = Message::batch();
        let mut all = netlink::request(begin, 0);
        for Change { message, flags } in changes {
            all.extend(netlink::request(message, flags | NLM_F_ACK));
        }
        all.extend(netlink::request(end, 0));
        self.0.send(&all, 0)?;
        // All answers are there by now.
        self.0.set_non_blocking(true)?;
        let answered = self.answers();
        self.0.set_non_blocking(false)?;
        answered
    }

    fn answers(&self) -> io::Result<()> {
        let mut answered = Ok(());
        loop {
            let datagram = match self.0.recv_from_full() {
                Ok((datagram, _)) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return answered,
                Err(error) => return Err(error),
            };
            for message in netlink::messages::<Message>(&datagram) {
                if let NetlinkPayload::Error(error) = message?.payload
                    && error.raw_code() != 0
                    && answered.is_ok()
                {
                    answered = Err(error.to_io());
                }
            }
        }
    }
}

/// Told of changes of tables in the network namespace in which this was opened.
pub(super) struct Changes(Socket);

impl Changes {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.add_membership(CHANGES_OF_TABLES)?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Reads whatever was told.
    pub(super) fn forget(&self) {
        // So many that some are lost is an error, and there is more to be read behind it.
        let is_over = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        for _ in 0..1000 {
            if self.0.recv_from_full().is_err_and(|error| is_over(&error)) {
                return;
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Something that becomes different.
pub(super) struct Change {
    message: Message,
    flags: u16,
}

impl Change {
    /// A table, if it is not there.
    pub(super) fn table(family: u8, table: &str) -> Self {
        let attributes = Attributes::default().text(1, table);
        Self { message: Message::new(messages::NEWTABLE, family, attributes), flags: NLM_F_CREATE }
    }

    /// No such table any more, and nothing in it.
    pub(super) fn no_table(family: u8, table: &str) -> Self {
        let attributes = Attributes::default().text(1, table);
        Self { message: Message::new(messages::DELTABLE, family, attributes), flags: 0 }
    }

    /// A chain that translates addresses of what this host sends.
    pub(super) fn nat_of_output(family: u8, table: &str, chain: &str, priority: i32) -> Self {
        const LOCAL_OUT: u32 = 3;
        let hook = Attributes::default().number(1, LOCAL_OUT).number(2, priority.cast_unsigned());
        let attributes = Attributes::default().text(1, table).text(3, chain).nested(4, &hook).text(7, "nat");
        Self { message: Message::new(messages::NEWCHAIN, family, attributes), flags: NLM_F_CREATE }
    }

    /// A rule behind those of a chain.
    pub(super) fn rule(
        family: u8,
        table: &str,
        chain: &str,
        expressions: Vec<Expression>,
        comment: &str,
    ) -> Self {
        const APPEND: u16 = 0x800;
        let list = expressions.into_iter().fold(Attributes::default(), |list, Expression(name, data)| {
            list.nested(1, &Attributes::default().text(1, name).nested(2, &data))
        });
        let attributes = Attributes::default().text(1, table).text(2, chain).nested(4, &list);
        let attributes = attributes.bytes(7, &user_data(comment));
        Self { message: Message::new(messages::NEWRULE, family, attributes), flags: NLM_F_CREATE | APPEND }
    }
}

/// A step of a rule: the first that does not hold ends it.
pub(super) struct Expression(&'static str, Attributes);

/// The register by which they tell each other.
const REGISTER: u32 = 1;

impl Expression {
    /// The family of the packet's addresses is this one.
    pub(super) fn is_family(family: u8) -> [Self; 2] {
        const NFPROTO: u32 = 15;
        [Self::meta(NFPROTO), Self::equals(&[family])]
    }

    /// The packet is one of TCP.
    pub(super) fn is_tcp() -> [Self; 2] {
        const L4PROTO: u32 = 16;
        const TCP: u8 = 6;
        [Self::meta(L4PROTO), Self::equals(&[TCP])]
    }

    /// The packet's mark is this in the bits of the mask.
    pub(super) fn has_mark(value: u32, mask: u32) -> [Self; 3] {
        const MARK: u32 = 3;
        let data = |number: u32| Attributes::default().bytes(1, &number.to_ne_bytes());
        let masked = Attributes::default()
            .number(1, REGISTER)
            .number(2, REGISTER)
            .number(3, 4)
            .nested(4, &data(mask))
            .nested(5, &data(0));
        [Self::meta(MARK), Self("bitwise", masked), Self::equals(&value.to_ne_bytes())]
    }

    /// Its destination is translated to the very same: nobody translates it any more.
    pub(super) fn keeps_destination(family: u8) -> [Self; 2] {
        const NETWORK_HEADER: u32 = 1;
        const DNAT: u32 = 1;
        let (offset, length) = if family == IPV4 { (16, 4) } else { (24, 16) };
        let payload = Attributes::default()
            .number(1, REGISTER)
            .number(2, NETWORK_HEADER)
            .number(3, offset)
            .number(4, length);
        let nat = Attributes::default()
            .number(1, DNAT)
            .number(2, family.into())
            .number(3, REGISTER)
            .number(4, REGISTER);
        [Self("payload", payload), Self("nat", nat)]
    }

    fn meta(key: u32) -> Self {
        Self("meta", Attributes::default().number(1, REGISTER).number(2, key))
    }

    fn equals(value: &[u8]) -> Self {
        let data = Attributes::default().bytes(1, value);
        Self("cmp", Attributes::default().number(1, REGISTER).number(2, 0).nested(3, &data))
    }
}

/// The value of an attribute.
fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut all = NlasIterator::new(attributes).filter_map(Result::ok);
    let found = all.find(|attribute| attribute.kind() & NLA_TYPE_MASK == kind)?;
    let length = found.length() as usize;
    found.into_inner().get(4..length)
}

fn text(attributes: &[u8], kind: u16) -> Option<String> {
    let value = find(attributes, kind)?;
    Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned())
}

/// A comment as nft(8) keeps it with a rule: its kind, its length, and its bytes with a zero behind them.
fn user_data(comment: &str) -> Vec<u8> {
    [&[0, comment.len() as u8 + 1], comment.as_bytes(), &[0]].concat()
}

fn comment(user_data: &[u8]) -> Option<String> {
    match user_data {
        [0, length, rest @ ..] => {
            let text = rest.get(..(*length as usize).checked_sub(1)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read_as_nft_writes_them() {
        assert_eq!(comment(&user_data("past")).as_deref(), Some("past"));
        for none in [&[][..], &[1, 2, b'a', 0], &[0, 9, b'a', 0], &[0, 0]] {
            assert_eq!(comment(none), None, "{none:?}");
        }
    }
}
