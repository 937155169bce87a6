//! The `ioctl` calls that read, change or hand over the contents of files.

use roar_common::{access, note};

use crate::effects::{Effects, FMODE_WRITE, through};
use crate::emit::noted;
use crate::file::Touch;
use crate::kernel::{field, peek_user, seldom_file_of};
use crate::maps::layout;

const FICLONE: u32 = 0x4004_9409;
const FICLONERANGE: u32 = 0x4020_940d;
const FIDEDUPERANGE: u32 = 0xc018_9436;
const BTRFS_IOC_SEND: u32 = 0x4048_9426;
const LOOP_SET_FD: u32 = 0x4c00;
const LOOP_CHANGE_FD: u32 = 0x4c06;
const LOOP_CONFIGURE: u32 = 0x4c0a;

/// Type and number of `FS_IOC_RESVSP`, `FS_IOC_UNRESVSP`, their twins for 64 bits, and
/// `FS_IOC_ZERO_RANGE`: older words for `fallocate`. Their size differs for 32-bit callers.
const RESERVE_FIRST: u32 = 0x5828;
const RESERVE_LAST: u32 = 0x582b;
const ZERO_RANGE: u32 = 0x5839;

/// Length of `struct file_dedupe_range`, behind which its destinations follow; the first begins
/// with its descriptor.
const DEDUPE_DESTINATION: u64 = 24;

const S_IFMT: u16 = 0o170_000;
const S_IFBLK: u16 = 0o060_000;

/// A call succeeded.
#[inline(always)]
pub(crate) fn succeeded(effects: &mut Effects, descriptor: i32, request: u32, argument: u64) {
    match request {
        FICLONE => copied(effects, argument as i32, descriptor),
        // struct file_clone_range begins with the source descriptor, 64 bits.
        FICLONERANGE => copied(effects, peek_user::<i64>(argument) as i32, descriptor),
        FIDEDUPERANGE => {
            // The answer tells whether their contents are the same; neither changes.
            let other: i64 = peek_user(argument + DEDUPE_DESTINATION);
            effects.first = through(seldom_file_of(descriptor), access::READ, 0);
            effects.second = through(seldom_file_of(other as i32), access::READ, 0);
        }
        LOOP_SET_FD | LOOP_CHANGE_FD => lent(effects, descriptor, argument as i32),
        // struct loop_config begins with the descriptor.
        LOOP_CONFIGURE => lent(effects, descriptor, peek_user(argument)),
        BTRFS_IOC_SEND => noted(note::BTRFS_SEND),
        _ => {
            let number = request & 0xffff;
            if (RESERVE_FIRST..=RESERVE_LAST).contains(&number) || number == ZERO_RANGE {
                effects.first = through(seldom_file_of(descriptor), access::WRITTEN, 0);
            }
        }
    }
}

/// A file took over blocks of another.
#[inline(always)]
fn copied(effects: &mut Effects, from: i32, to: i32) {
    effects.first = through(seldom_file_of(from), access::READ, 0);
    effects.second = through(seldom_file_of(to), access::WRITTEN, 0);
}

/// A file became the content of a loop device: what is read and written there is as if mapped.
#[inline(always)]
fn lent(effects: &mut Effects, device: i32, descriptor: i32) {
    let inode: u64 = field(seldom_file_of(device), layout!(file_inode));
    if field::<u16>(inode, layout!(inode_mode)) & S_IFMT != S_IFBLK {
        return;
    }
    effects.first = through(seldom_file_of(descriptor), access::MAPPED, 0);
    let file = effects.first.file;
    if field::<u32>(file, layout!(file_mode)) & FMODE_WRITE != 0 {
        effects.second = Touch {
            file,
            access: access::MAPPED_WRITE,
            result: 0,
        };
    }
}
