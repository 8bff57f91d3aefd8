//! What makes an emulated machine quick.

/// What keeps processes from spying on each other, and memory clean for them, only costs time here; so does waiting for
/// the end of a grace period when nothing else runs. Programs at the same addresses each time (`norandmaps`) need not
/// be translated anew, which halves the time of an emulated guest.
pub(crate) const APPEND: &str =
    "console=ttyS0 panic=-1 quiet mitigations=off init_on_alloc=0 rcupdate.rcu_expedited=1 norandmaps";

/// QEMU 7.2 gets the flags of cmpxchg16b wrong, on which the allocator of 6.12 crashes. Where
/// `rep movsb` is said to be fast (`erms`) the kernel copies and clears byte by byte, each of which is a step when
/// emulated; a fifth level of page tables and the protection of user memory cost time as well.
pub(crate) const EMULATED: &str = "max,cx16=off,erms=off,la57=off,smap=off";
