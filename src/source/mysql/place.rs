//! Where in the binary log we are, and up to where all is finished.

use std::fmt;

use super::cursor::Cursor;
use super::event::{Event, kind};
use super::failure::PURGED;
use crate::change::Position;
use crate::{Code, Error, Result};

/// Set on events that the server makes up for the reader; they lie in no file.
const FLAG_ARTIFICIAL: u16 = 0x20;

/// The event that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub epoch: u16,
    pub file: String,
    /// When the file was begun, seconds since 1970; 0 if that is not known.
    pub file_begun: u32,
    file_number: u32,
    /// Where the event lies in its file.
    pub event_start: u64,
    /// Where the next one will lie. Files may be longer than the 32 bits that an event's header has for it.
    pub offset: u64,
}

impl Place {
    pub fn at(epoch: u16, file: &str, offset: u64) -> Self {
        Self {
            epoch,
            file: file.to_owned(),
            file_begun: 0,
            file_number: file_number(file),
            event_start: offset,
            offset,
        }
    }

    /// Goes past an event.
    pub fn advance(&mut self, event: &Event) {
        if event.log_pos == 0 || event.flags & FLAG_ARTIFICIAL != 0 {
            return;
        }
        let size = u64::from(event.size);
        let expected = self.offset.saturating_add(size);
        let mut end = expected & !0xffff_ffff | u64::from(event.log_pos);
        if end.saturating_add(0x8000_0000) < expected {
            end = end.saturating_add(1 << 32);
        }
        self.event_start = end.saturating_sub(size);
        self.offset = end;
    }

    /// The server says how far it is.
    pub fn heartbeat(&mut self, event: &Event) {
        let position = if event.kind == kind::HEARTBEAT_V2 {
            second_field(&event.body)
        } else {
            Some(u64::from(event.log_pos))
        };
        if let Some(position) = position
            && position > self.offset
        {
            self.offset = position;
        }
    }

    /// The next event comes from `file`.
    pub fn rotate(&mut self, file: &str, offset: u64) {
        *self = Self::at(self.epoch, file, offset);
    }

    /// Where a transaction stands that begins with the event being read.
    pub fn start(&self) -> Position {
        position(self.epoch, self.file_number, self.event_start)
    }

    /// Where a transaction would stand that comes next.
    pub fn end(&self) -> Position {
        position(self.epoch, self.file_number, self.offset)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.event_start)
    }
}

/// MySQL's newer heartbeat: fields 1 (file) and 2 (offset), each with its length.
fn second_field(body: &[u8]) -> Option<u64> {
    let mut cursor = Cursor::new(body);
    loop {
        let field = cursor.packed().ok()?;
        let value = cursor.packed_bytes().ok()?;
        if field == 2 {
            return Cursor::new(value).packed().ok();
        }
    }
}

/// A transaction begins below 4 GiB: a file ends with the transaction that grew over `max_binlog_size`, which
/// is at most 1 GiB.
pub(super) fn position(epoch: u16, file_number: u32, offset: u64) -> Position {
    Position::first_of(epoch, u64::from(file_number) << 32 | offset.min(u64::from(u32::MAX)))
}

/// `binlog.000042` -> 42.
pub(super) fn file_number(file: &str) -> u32 {
    file.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// All before this is finished. Never goes back, although the server may begin again further in front to find
/// a GTID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    pub position: Position,
    pub file: String,
    /// When the file was begun; 0 if that is not known.
    pub file_begun: u32,
    pub offset: u64,
    /// It moved since this was last set to false.
    pub moved: bool,
}

impl Reached {
    pub fn advance(&mut self, place: &Place) {
        let position = place.end();
        if position > self.position {
            self.position = position;
            self.offset = place.offset;
            self.file_begun = place.file_begun;
            self.moved = true;
            if self.file != place.file {
                self.file.clone_from(&place.file);
            }
        }
    }
}

/// RESET BINARY LOGS, or a restored server, begins new files under names that were used before.
pub(super) fn same_file(file: &str, begun_before: u32, begun: u32) -> Result<()> {
    if begun_before == 0 || begun == begun_before {
        return Ok(());
    }
    Err(Error::stop(
        Code::LogReset,
        format!(
            "binary log \"{file}\" is not the one that was read before: the server's logs \
        were reset, or it was restored"
        ),
    )
    .hint(PURGED))
}

#[cfg(test)]
mod tests {
    use super::{Place, Reached, file_number};
    use crate::change::Position;
    use crate::source::mysql::event::Event;

    #[test]
    fn offsets_go_past_four_gib() {
        let mut place = Place::at(1, "a.b.000002", 0xffff_ff00);
        place.advance(&Event { size: 0x200, log_pos: 0x100, ..Event::default() });
        assert_eq!((place.event_start, place.offset), (0xffff_ff00, 0x1_0000_0100));
        assert_eq!(place.end(), Position::first_of(1, 0x2_ffff_ffff));
        place.advance(&Event { size: 0x50, log_pos: 0, ..Event::default() });
        assert_eq!(place.offset, 0x1_0000_0100);
    }

    #[test]
    fn what_is_finished_never_goes_back() {
        let mut reached = Reached {
            position: Position::first_of(0, 0x2_0000_01f4),
            file: "b.000002".into(),
            file_begun: 0,
            offset: 500,
            moved: false,
        };
        let mut place = Place::at(0, "b.000001", 900);
        reached.advance(&place);
        assert!(!reached.moved && reached.file == "b.000002");
        place.rotate("b.000003", 4);
        reached.advance(&place);
        assert!(reached.moved && reached.file == "b.000003");
        assert_eq!((file_number("mysql-bin.000042"), file_number("x")), (42, 0));
    }
}
