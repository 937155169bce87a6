//! How many connections the process may have open at once.

/// Descriptors that are kept for the database and the log.
const OTHERS: u64 = 128;

/// As many connections as are wanted, if the system allows so many: the process's limit is raised
/// as far as it may be.
#[cfg(unix)]
pub(crate) fn connections(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let needed = (wanted as u64).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut allowed = current.unwrap_or(u64::MAX);
    if allowed < needed {
        let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
        let limit = Rlimit {
            current: Some(raised),
            maximum,
        };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            allowed = raised;
        }
    }
    if allowed < needed {
        tracing::warn!(
            wanted,
            descriptors = allowed,
            "fewer connections than wanted: raise the limit of open files"
        );
    }
    fitting(wanted, allowed)
}

/// Elsewhere nothing limits them but memory.
#[cfg(not(unix))]
pub(crate) fn connections(wanted: usize) -> usize {
    wanted
}

fn fitting(wanted: usize, descriptors: u64) -> usize {
    let free = descriptors
        .saturating_sub(OTHERS)
        .max(descriptors / 2)
        .max(1);
    wanted.min(usize::try_from(free).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn some_descriptors_are_left() {
        assert_eq!(fitting(16_384, 1 << 20), 16_384);
        assert_eq!(fitting(16_384, 1024), 896);
        assert_eq!(fitting(16_384, 64), 32);
        assert_eq!(fitting(10, 64), 10);
    }
}
