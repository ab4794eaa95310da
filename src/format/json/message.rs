//! A message of another format, taken apart, as the JSON message of the same row. No table is needed: the
//! message itself names its columns.

use super::encode::{opening, write_timestamp, write_xid};
use crate::change::{CellKind, Operation};
use crate::format::parts::{Extras, Field, List, Parts, Span};
use crate::json_string::write_string;

/// Appends the JSON message; the bytes are those that the encoder makes of the row, with what `include` asked
/// for where the message holds it. The parts' texts must be without escapes.
pub(in crate::format) fn write_message(
    operation: Operation,
    message: &[u8],
    table: Span,
    parts: &Parts,
    extras: &Extras,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(opening(operation));
    write_log_place(message, extras, out);
    if let Some(schema) = parts.schema {
        out.extend_from_slice(b",\"schema\":");
        write_string(schema.raw(message), out);
    }
    out.extend_from_slice(b",\"table\":");
    write_string(table.raw(message), out);
    if operation == Operation::Truncate {
        out.push(b'}');
        return;
    }
    for (name, list) in [(&b",\"columns\":["[..], &parts.columns), (b",\"identity\":[", &parts.identity)] {
        if list.given {
            out.extend_from_slice(name);
            write_fields(message, list, extras.types, true, out);
        }
    }
    out.extend_from_slice(b",\"pk\":[");
    write_fields(message, &parts.pk, extras.types, false, out);
    out.push(b'}');
}

fn write_log_place(message: &[u8], extras: &Extras, out: &mut Vec<u8>) {
    let mut text = String::new();
    if let Some(xid) = extras.xid.and_then(|xid| xid.text(message)) {
        write_xid(&xid, &mut text);
    }
    if let Some(committed_us) = extras.committed_us {
        write_timestamp(committed_us, &mut text);
    }
    out.extend_from_slice(text.as_bytes());
    if let Some(lsn) = extras.lsn {
        out.extend_from_slice(b",\"lsn\":");
        write_string(lsn.raw(message), out);
    }
}

/// The inside of a list and its end.
fn write_fields(message: &[u8], list: &List, with_types: bool, with_values: bool, out: &mut Vec<u8>) {
    for (number, field) in list.fields.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b"{\"name\":" } else { b",{\"name\":" });
        write_string(field.name.raw(message), out);
        if with_types {
            out.extend_from_slice(b",\"type\":");
            write_string(field.type_name.raw(message), out);
        }
        if with_values {
            out.extend_from_slice(b",\"value\":");
            write_field(message, field, out);
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn write_field(message: &[u8], field: &Field, out: &mut Vec<u8>) {
    match field.kind {
        CellKind::Missing | CellKind::Null => out.extend_from_slice(b"null"),
        CellKind::Literal => out.extend_from_slice(field.value.raw(message)),
        CellKind::Text => write_string(field.value.raw(message), out),
    }
}
