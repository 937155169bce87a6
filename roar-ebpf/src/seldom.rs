//! System calls that touch files and are seldom: looked at by the handler of files.

use roar_common::{access, class, note};

use crate::aio;
use crate::effects::{Effects, is_of_file, read, through};
use crate::emit::noted;
use crate::handler::Call;
use crate::ioctl;
use crate::kernel::{peek_user, seldom_file_of};

/// What a system call did.
#[inline(always)]
pub(crate) fn handle(call: &Call) {
    let [a, b, c, _, _, result] = call.with;
    let mut effects = Effects::none();
    match call.task as u8 {
        class::FTRUNCATE => {
            effects.first = through(seldom_file_of(a as i32), access::TRUNCATED, 0);
        }
        class::FALLOCATE => {
            effects.first = through(seldom_file_of(a as i32), access::WRITTEN, 0);
        }
        class::SENDFILE => copied(&mut effects, b as i32, a as i32, result),
        class::COPY => copied(&mut effects, a as i32, c as i32, result),
        class::IOCTL => ioctl::succeeded(&mut effects, a as i32, b as u32, c),
        class::OLD_MMAP => {
            // struct mmap_arg_struct32: addr, len, prot, flags, fd, offset.
            let prot: u32 = peek_user(a + 8);
            let map_flags: u32 = peek_user(a + 12);
            let descriptor: i32 = peek_user(a + 16);
            if is_of_file(u64::from(map_flags)) {
                let file = through(seldom_file_of(descriptor), access::MAPPED, 0).file;
                effects.mapped(u64::from(prot), u64::from(map_flags), file);
            }
        }
        class::IO_SUBMIT => return aio::submitted(c, 8, result),
        class::COMPAT_IO_SUBMIT => return aio::submitted(c, 4, result),
        class::IO_URING_SETUP => return noted(note::IO_URING),
        class::KERNEL_FILE => return noted(note::KERNEL_FILE),
        _ => return,
    }
    effects.report();
}

/// Bytes went from one descriptor to another inside the kernel.
#[inline(always)]
fn copied(effects: &mut Effects, from: i32, to: i32, result: u64) {
    effects.first = read(seldom_file_of(from), result);
    if result > 0 {
        effects.second = through(seldom_file_of(to), access::WRITTEN, result);
    }
}
