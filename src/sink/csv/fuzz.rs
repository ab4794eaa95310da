//! What fuzzing calls of this sink: rows as lines, and lines as rows again.

use super::UNCHANGED;
use super::read::Record;
use super::row::{RowStyle, truncate_position, write_field};
use crate::change::{Batch, Cell, CellKind, Operation, Row};
use crate::sink::files::TableRows as _;

/// Each row of the batch is one record that reads back as it was written.
pub(crate) fn rows_come_back(batch: &Batch) {
    for row in batch.rows() {
        let table = batch.table(row);
        let mut name = Vec::new();
        write_field(table.name.as_bytes(), &mut name);
        let style = RowStyle { table: name, unchanged: UNCHANGED.as_bytes().to_vec(), position: true };
        let (columns, identity) = (batch.columns(row), batch.identity(row));
        if matches!(row.operation, Operation::Insert | Operation::Update) {
            let old = |place: usize| identity.get(place).filter(|old| old.kind != CellKind::Missing);
            let sent = columns
                .iter()
                .enumerate()
                .map(|(place, cell)| if cell.kind == CellKind::Missing { old(place) } else { Some(cell) });
            check(batch, row, &style, b"I", sent, |out| style.write_insert(batch, row, out));
        }
        if matches!(row.operation, Operation::Update | Operation::Delete) {
            let places: Vec<_> = (0..table.columns.len() as u32).map(Some).collect();
            let sent = identity.iter().map(Some);
            check(batch, row, &style, b"D", sent, |out| style.write_delete(batch, row, &places, out));
        }
        if row.operation == Operation::Truncate {
            let record = read(|out| style.write_truncate(row, 3, out));
            assert_eq!(record.field(0).and_then(truncate_position), Some(row.position));
        }
    }
}

/// `sent`: what stands in the fields behind action and table; `None` for the placeholder.
fn check<'a>(
    batch: &Batch,
    row: &Row,
    style: &RowStyle,
    action: &[u8],
    sent: impl Iterator<Item = Option<&'a Cell>>,
    write: impl Fn(&mut Vec<u8>),
) {
    let record = read(write);
    assert_eq!(record.field(0), Some(action));
    assert_eq!(record.field(1), Some(batch.table(row).name.as_bytes()));
    let mut place = 2;
    for cell in sent {
        let expected = match cell {
            None => Some(&style.unchanged[..]),
            Some(cell) if matches!(cell.kind, CellKind::Missing | CellKind::Null) => None,
            Some(cell) => Some(batch.text(cell)),
        };
        assert_eq!(record.field(place), expected, "field {place}");
        let is_placeholder =
            expected == Some(&style.unchanged) && record.quoted.binary_search(&place).is_err();
        assert_eq!(is_placeholder, cell.is_none(), "a value is never taken for the placeholder");
        place += 1;
    }
    assert_eq!(record.field(place), Some(&row.position.digits()[..]));
    assert_eq!(record.fields.len(), place + 1);
}

fn read(write: impl Fn(&mut Vec<u8>)) -> Record {
    let mut record = Record::default();
    write(&mut record.raw);
    // The reader takes lines until their quotes are even: only the last line end may be one.
    let quotes = |bytes: &[u8]| memchr::memchr_iter(b'"', bytes).count();
    for end in memchr::memchr_iter(b'\n', &record.raw) {
        assert_eq!(
            quotes(&record.raw[..end]) % 2 == 0,
            end + 1 == record.raw.len(),
            "a record ends at its last line end"
        );
    }
    assert_eq!(record.split(), Some(()), "a record that was written is read");
    record
}
