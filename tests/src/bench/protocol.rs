//! What a client asks of a server by the first byte of a connection.

/// Who it is: it answers with its digit, and from then on with whatever it is sent.
pub const ASK: u8 = b'?';

/// To take all that follows: it answers with a byte at its end.
pub const TAKE: u8 = b'>';

/// The digit of the first backend.
pub const FIRST: u8 = b'1';
