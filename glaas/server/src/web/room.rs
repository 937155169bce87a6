//! Pages stay small: each part of a page has room for so many bytes, and what does not fit is
//! counted, never dropped in silence.

use super::view::cut;

/// No page is larger, in bytes.
pub(super) const MAX_PAGE: usize = 200_000;

/// Bytes of HTML that are left to a part of a page.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: bytes }
    }

    /// Takes so many bytes, if they are there.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// The beginning of a list that fits; one at least, so that a list that
    /// is read on from there comes to its end.
    pub(super) fn fit<T>(&mut self, mut items: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
        let mut fitting = 0;
        while let Some(item) = items.get(fitting)
            && (self.take(bytes(item)) || fitting == 0)
        {
            fitting += 1;
        }
        items.truncate(fitting);
        items
    }

    /// As much of a text as fits, at most so many characters of it.
    pub(super) fn text(&mut self, text: &str, most: usize) -> String {
        let mut most = most.min(self.left);
        while most > 0 {
            let shown = cut(text, most);
            if self.take(escaped(&shown)) {
                return shown;
            }
            most /= 2;
        }
        String::new()
    }
}

/// The bytes of a text in HTML.
pub(super) fn escaped(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '&' | '<' | '>' | '"' | '\'' => 5,
            c => c.len_utf8(),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_fits() {
        let mut room = Room::new(100);
        let shown = room.text(&"<".repeat(1000), 1000);
        assert!(!shown.is_empty() && escaped(&shown) <= 100, "{shown}");
        let mut room = Room::new(10);
        assert_eq!(room.fit(vec![4, 4, 4], |bytes| *bytes), [4, 4]);
        assert_eq!(Room::new(1).fit(vec![4, 4], |bytes| *bytes), [4]);
        assert_eq!(Room::new(0).text("abc", 9), "");
    }
}
