//! A network interface whose other side is this program: what the kernel sends through it is read here, what
//! is written here it receives.

use std::fs::File;
use std::io;

use rustix::ioctl::{IntegerSetter, Opcode, Setter, ioctl, opcode};

/// A frame of 64 KiB, which the kernel hands over whole when the interface may cut it later, and the header
/// before it.
pub const FRAME_BYTES_MAX: usize = 65536 + 256;

/// What `TUNSETIFF` reads: `struct ifreq` of 64-bit Linux.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    unused: [u8; 22],
}

const TUNSETIFF: Opcode = opcode::write::<u32>(b'T', 202);
const TUNSETOFFLOAD: Opcode = opcode::write::<u32>(b'T', 208);

/// Ethernet frames, without the four bytes of protocol, with the header that says what is left to do for a
/// large frame.
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// Checksums and the cutting of large TCP segments (IPv4, IPv6, with ECN) are left to the receiver: the
/// frames only pass through.
const OFFLOAD: usize = 0x01 | 0x02 | 0x04 | 0x08;

/// Makes the interface `name` in the network namespace of this process. It vanishes when the file is closed.
#[allow(unsafe_code, reason = "the kernel offers this by ioctl alone")]
pub fn open(name: &str) -> io::Result<File> {
    if name.is_empty() || name.len() > 15 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface's name has 1 to 15 bytes"));
    }
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = Request { name: [0; 16], flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, unused: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: both opcodes are those of the kernel's linux/if_tun.h; the first reads a `struct ifreq`, the
    // second a number.
    unsafe {
        ioctl(&file, Setter::<TUNSETIFF, Request>::new(request))?;
        ioctl(&file, IntegerSetter::<TUNSETOFFLOAD>::new_usize(OFFLOAD))?;
    }
    Ok(file)
}
