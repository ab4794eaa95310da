//! Taking files over at a start: what lies behind a mark is cut, and what is open for more rows is read off
//! the files themselves.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::file::{Appended, Taken, failure, held, short};
use super::generation::{Chain, Generation, Slot};
use super::path::{Part, Side, list, parse_file_name};
use super::{Described, FilesSink, RowWriter};
use crate::change::Position;
use crate::sink::Marks;
use crate::{Code, Error, Result};

/// Files that are kept open, and so locked, from the start; the others are opened when they are written to.
const OPEN_AT_START: usize = 96;

/// A marked file by its name.
struct Marked<'a> {
    channel: &'a str,
    path: &'a str,
    length: u64,
    stem: &'a str,
    side: Side,
    number: u32,
}

/// As [`crate::sink::Sink::recover`] says.
pub(super) fn recover<W: RowWriter>(sink: &mut FilesSink<W>, marks: &BTreeMap<String, Marks>) -> Result<()> {
    let mut gone = Vec::new();
    for (channel, files) in marks {
        for (path, mark) in files {
            let Some(length) = mark.length() else { return Err(of_another_kind(path)) };
            let name = parse_own_name(path, W::ENDING, sink.settings.split);
            let Some((stem, side, number)) = name else { continue };
            let marked = Marked { channel, path, length, stem, side, number };
            if take_over(sink, &marked)? == Step::Gone {
                gone.push((stem.to_owned(), number));
            }
        }
    }
    for (stem, number) in gone {
        // What is left of a pair whose other half was moved away is finished with it.
        for chain in sink.chains.iter_mut().filter(|chain| chain.stem == stem) {
            chain.generations.retain(|generation| generation.number != number);
        }
    }
    let slots = sink.chains.iter().flat_map(|chain| &chain.generations).flat_map(Generation::slots);
    sink.open = slots.filter(|slot| slot.file.open_since().is_some()).count();
    order(sink)
}

/// A file of a sink without `split` may end in `_insert` because its table does.
fn parse_own_name<'a>(path: &'a str, ending: &str, split: bool) -> Option<(&'a str, Side, u32)> {
    let (stem, side, number) = parse_file_name(path, ending)?;
    if split || side == Side::Both {
        return Some((stem, side, number));
    }
    let whole = path.strip_suffix(ending)?;
    let end = if number == 1 { whole.len() } else { whole.rfind('.')? };
    Some((&whole[..end], Side::Both, number))
}

fn of_another_kind(name: &str) -> Error {
    Error::stop(Code::GroupShared, format!("the saved state of {name:?} is not that of a file"))
        .hint("another kind of sink had this group: give the sink a group of its own")
}

#[derive(PartialEq, Eq)]
enum Step {
    Done,
    /// The file is not there any more.
    Gone,
}

fn take_over<W: RowWriter>(sink: &mut FilesSink<W>, marked: &Marked) -> Result<Step> {
    let &Marked { channel, path, length, stem, .. } = marked;
    let maybe_ours = sink.template.may_be_ours(stem);
    let taken = match Appended::take_over(path, length, maybe_ours) {
        Ok(taken) => taken,
        Err(error) if maybe_ours => return Err(error),
        Err(error) => {
            tracing::info!(file = path, %error, "file of another writer left unchanged");
            return Ok(Step::Done);
        }
    };
    let described = match &taken {
        Taken::Locked(_) | Taken::Held if length > 0 && maybe_ours => {
            sink.writer.describe(Path::new(path), length)?
        }
        _ => None,
    };
    let ours = match &described {
        Some(described) => maybe_ours && sink.template.is_stem_of(stem, channel, &described.table),
        None => maybe_ours,
    };
    if !ours {
        return Ok(Step::Done);
    }
    let number = sink.numbers.entry(stem.to_owned()).or_insert(0);
    if length > 0 {
        *number = marked.number.max(*number);
    }
    match (taken, described) {
        (Taken::Held, _) => Err(held(path)),
        (Taken::Short(bytes), _) => Err(short(path, bytes, length)),
        (Taken::Absent, _) if length > 0 => {
            tracing::info!(
                file = path,
                "a file that was written before is not there any more; the next one is started"
            );
            // Named until one with a higher number holds rows: numbers are never used twice.
            sink.gone.entry(channel.to_owned()).or_default().insert(path.to_owned(), length.into());
            Ok(Step::Gone)
        }
        (Taken::Absent, _) => Ok(Step::Done),
        (Taken::Locked(file), Some(described)) => {
            adopt(sink, marked, file, described)?;
            Ok(Step::Done)
        }
        // The crash came between the first bytes and the flush after them: the file goes, so that no later
        // marks must name it.
        (Taken::Locked(_), None) if length == 0 => {
            std::fs::remove_file(path).map_err(|cause| failure("remove", path, cause))?;
            Ok(Step::Done)
        }
        (Taken::Locked(_), None) => Ok(Step::Gone),
    }
}

/// Makes the file part of its table's generations.
fn adopt<W: RowWriter>(
    sink: &mut FilesSink<W>,
    marked: &Marked,
    mut file: Appended,
    described: Described,
) -> Result<()> {
    let Described { table, columns, truncated, is_same_layout } = described;
    if sink.settings.split == (marked.side == Side::Both) || !is_same_layout {
        // Written with other settings: it is finished as it is.
        return Ok(());
    }
    if sink.open >= OPEN_AT_START {
        file.close()?;
    } else {
        sink.open += 1;
    }
    let chain = sink.chain_of_stem(marked.channel, marked.stem.to_owned(), &table);
    let chain = &mut sink.chains[chain];
    chain.truncated = chain.truncated.max(truncated);
    let place = chain
        .generations
        .binary_search_by_key(&marked.number, |generation| generation.number)
        .unwrap_or_else(|place| {
            chain.generations.insert(place, Generation::new(marked.number, Position::START));
            place
        });
    let generation = &mut chain.generations[place];
    generation.start = generation.start.max(truncated.unwrap_or(Position::START));
    let slot = Some(Slot { columns, file, marked: true });
    if marked.side == Side::Delete {
        generation.delete = slot;
    } else {
        generation.insert = slot;
    }
    Ok(())
}

/// Generations behind a truncate start at its position at the earliest; and what lies in the folders counts
/// as used.
fn order<W: RowWriter>(sink: &mut FilesSink<W>) -> Result<()> {
    let mut parts: HashMap<String, Vec<Part>> = HashMap::new();
    for (stem, number) in &mut sink.numbers {
        let found = list(Path::new(stem), W::ENDING)?;
        let own: Vec<_> = found.into_iter().filter(|part| part.id.is_empty()).collect();
        *number = own.iter().map(|part| part.number).max().unwrap_or(0).max(*number);
        parts.insert(stem.clone(), own);
    }
    for chain in &mut sink.chains {
        let own = parts.get(&chain.stem).map_or(&[][..], Vec::as_slice);
        let Some((number, truncated)) = newest_truncate(&sink.writer, chain, own) else { continue };
        chain.truncated = chain.truncated.max(Some(truncated));
        for generation in chain.generations.iter_mut().filter(|generation| generation.number >= number) {
            generation.start = generation.start.max(truncated);
        }
    }
    Ok(())
}

/// The newest truncate of a chain, in a file that is open for more or in one that is finished, and its
/// generation. Truncates come in rising order, so the first one from the end is the newest.
fn newest_truncate<W: RowWriter>(
    writer: &W,
    chain: &Chain<W::Rows>,
    parts: &[Part],
) -> Option<(u32, Position)> {
    let open = chain.generations.iter().filter(|generation| generation.start > Position::START);
    let open = open.map(|generation| (generation.number, generation.start)).max();
    let newest = chain.generations.last().map_or(0, |generation| generation.number);
    let after = open.map_or(0, |(number, _)| number);
    for part in parts.iter().rev().filter(|part| part.number > after && part.number < newest) {
        if let Ok(Some(Described { table, truncated: Some(truncated), .. })) =
            writer.describe(&part.path, u64::MAX)
            && table == chain.table
        {
            return Some((part.number, truncated));
        }
    }
    open
}
