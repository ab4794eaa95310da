//! What a commit says besides the offset, and what a new owner of a partition makes of it.
//!
//! The text of a commit names the highest position written of each source, and the files with their lengths
//! at that moment. It belongs to the partition, not to the member: whoever is given the partition next goes
//! on from there, drops what was already written, and cuts what lies behind the lengths. Files of other
//! members are carried along, so that their owner still finds its lengths when it comes back. Names that are
//! too many for the text lie in files of their own (`long_texts`), which the text names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::long_texts::LongTexts;
use crate::change::Position;
use crate::kafka::OffsetCommit;
use crate::sink::{Mark, Marks};
use crate::{Code, Error, Result};

/// The text of one partition's commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CommitText {
    /// Layout of this text: 1, or 2 if it names long texts.
    #[serde(rename = "v")]
    version: u32,
    /// The highest position written, by source.
    #[serde(rename = "p", default)]
    pub positions: BTreeMap<String, Position>,
    /// Files that hold the partition's changes, and their lengths.
    #[serde(rename = "f", default)]
    pub files: Marks,
    /// Long texts with more of these.
    #[serde(rename = "l", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub long: BTreeSet<String>,
}

impl CommitText {
    /// JSON of at most [`OffsetCommit::TEXT_MAX`] bytes: `own` files are those of this member, `carried`
    /// those of others, `long` texts on their disks.
    pub fn fit(
        positions: BTreeMap<String, Position>,
        own: Option<&Marks>,
        carried: &Marks,
        long: &BTreeSet<String>,
        texts: &mut LongTexts,
    ) -> Result<String> {
        let others = || carried.iter().filter(|(file, _)| own.is_none_or(|own| !own.contains_key(*file)));
        let copy = |(file, mark): (&String, &Mark)| (file.clone(), mark.clone());
        let all: Marks = others().chain(own.into_iter().flatten()).map(copy).collect();
        let mut text =
            Self { version: if long.is_empty() { 1 } else { 2 }, positions, files: all, long: long.clone() };
        let mut json = text.to_json()?;
        if json.len() > OffsetCommit::TEXT_MAX && !text.files.is_empty() {
            // Its own names are the same in all its partitions of a topic, so they make a file of their own.
            text.version = 2;
            text.files = others().map(copy).collect();
            if let Some(own) = own.filter(|own| !own.is_empty()) {
                text.long.insert(texts.store(own)?);
            }
            json = text.to_json()?;
            if json.len() > OffsetCommit::TEXT_MAX && !text.files.is_empty() {
                text.long.insert(texts.store(&text.files)?);
                text.files.clear();
                json = text.to_json()?;
            }
        }
        Ok(json)
    }

    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| {
            Error::stop(Code::Internal, "the text of a commit cannot be written").cause(cause)
        })
    }

    /// An empty text (another client's commit) knows nothing; one of another layout is refused. Names that
    /// can be read from long texts are among the files then; what stays in `long` lies on other disks.
    pub fn from_json(topic: &str, text: &str, texts: &LongTexts) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let fail = |reason: String| {
            Error::stop(
                Code::GroupShared,
                format!(
                    "the commit of topic {topic:?} carries a text that list_sync did not write: {reason}"
                ),
            )
            .hint("give this sink a group of its own")
        };
        let mut found: Self = serde_json::from_str(text).map_err(|cause| fail(cause.to_string()))?;
        if !(1..=2).contains(&found.version) {
            return Err(fail(format!("layout {}", found.version)));
        }
        if let Some(name) = found.long.iter().find(|name| !LongTexts::is_name(name)) {
            return Err(fail(format!("{name:?} is no list of files")));
        }
        for name in std::mem::take(&mut found.long) {
            match texts.load(&name)? {
                Some(files) => found.files.extend(files),
                None => {
                    found.long.insert(name);
                }
            }
        }
        Ok(found)
    }

    /// The long texts that a commit's text names, without reading them.
    pub fn long_of(text: &str) -> BTreeSet<String> {
        serde_json::from_str(text).map_or_else(|_| BTreeSet::new(), |text: Self| text.long)
    }
}

/// Splits the `position` header of a message; the name of the source may be any bytes.
#[inline]
pub fn position_of(header: &[u8]) -> Option<(&[u8], Position)> {
    let (source, rest) = header.split_at_checked(header.len().checked_sub(Position::DIGITS + 1)?)?;
    Some((source, Position::from_digits(rest.strip_prefix(b":")?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(test: &str) -> (std::path::PathBuf, LongTexts) {
        let folder = std::env::temp_dir().join(format!("list_sync_claims_{test}_{}", std::process::id()));
        let texts = LongTexts::new(&format!("{}/{{table}}", folder.display()), "g");
        (folder, texts)
    }

    fn marks(member: u32, tables: u32) -> Marks {
        (0..tables)
            .map(|table| (format!("out/t{table}_{member}_insert.csv"), u64::from(table).into()))
            .collect()
    }

    #[test]
    fn a_text_survives_and_others_are_refused() {
        let (_, mut texts) = texts("short");
        let positions = BTreeMap::from([("shop".to_owned(), Position::first_of(0, 9))]);
        let files = Marks::from([("out/t_insert.csv".to_owned(), 7.into())]);
        let text =
            CommitText::fit(positions.clone(), Some(&files), &Marks::new(), &BTreeSet::new(), &mut texts)
                .unwrap();
        // As it was before there were long texts: older members read it too.
        let expected = format!(
            r#"{{"v":1,"p":{{"shop":"{}"}},"f":{{"out/t_insert.csv":7}}}}"#,
            Position::first_of(0, 9)
        );
        assert_eq!(text, expected);
        let read = CommitText::from_json("t", &text, &texts).unwrap();
        assert_eq!((read.positions, read.files, read.long.len()), (positions, files, 0));
        assert_eq!(CommitText::from_json("t", "", &texts).unwrap(), CommitText::default());
        assert!(CommitText::from_json("t", "something else", &texts).is_err());
        assert!(CommitText::from_json("t", "{\"v\":3}", &texts).is_err());
        let elsewhere = format!(r#"{{"v":2,"l":["../x/{}-{}"]}}"#, "0".repeat(8), "1".repeat(32));
        assert!(CommitText::from_json("t", &elsewhere, &texts).unwrap_err().to_string().contains("no list"));
    }

    /// 1,000 tables of this member and of 100 others; of a member on another disk only the name of its file
    /// is known, and stays.
    #[test]
    fn no_number_of_files_is_too_many() {
        let (folder, mut texts) = texts("long");
        let far = BTreeSet::from([format!("{}-{}", "0".repeat(8), "1".repeat(32))]);
        let own = marks(1, 1000);
        let carried: Marks = (2..102)
            .flat_map(|member| marks(member, 20))
            .chain([("out/t0_1_insert.csv".to_owned(), 999.into())])
            .collect();
        let text = CommitText::fit(BTreeMap::new(), Some(&own), &carried, &far, &mut texts).unwrap();
        assert!(text.len() <= OffsetCommit::TEXT_MAX, "{text}");
        let read = CommitText::from_json("t", &text, &texts).unwrap();
        let mut all = carried;
        all.extend(own);
        assert_eq!((read.files, &read.long), (all, &far), "the own length of a file counts");
        assert_eq!(CommitText::long_of(&text).len(), 3);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn headers_are_split_at_the_last_colon() {
        let position = Position::first_of(3, 4);
        assert_eq!(position_of(format!("a:b:{position}").as_bytes()), Some((&b"a:b"[..], position)));
        for bad in ["", "shop", "shop:12", "\u{e4}"] {
            assert_eq!(position_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
