//! The page of the error codes, `docs/errors.md`, rendered from their table. The test holds the page against
//! it; with `LIST_SYNC_BLESS=1` it writes the page.

use std::fmt::Write as _;

use super::Code;

const OPENING: &str = "# Error codes

*Made from `src/error/code.rs` by `LIST_SYNC_BLESS=1 cargo test --lib error::`. Change a code there.*

Each error has a code. It stays the same from version to version, while the words of a message may change: let scripts and alarms look for it.
`list_sync explain CODE` prints what stands here.

| where | how it stands there |
|---|---|
| the end of a command | `code: slot-lost`, below the error and its hint |
| the log | the field `code`, as text and as JSON |
| `list_sync status --json` | `problem_code`, and `code` in `live` |
| `/readyz` of the monitor | `code` |
| `list_sync check --json` | `code` of each check that failed |
| Python | `error.code` |

The message itself has the names (which table, which slot), and its hint the exact statement for this case. Follow the hint first.
";

fn page() -> String {
    let (mut page, mut group) = (OPENING.to_owned(), "");
    for code in Code::ALL {
        let explanation = code.explanation();
        if explanation.group != group {
            group = explanation.group;
            let _ = write!(page, "\n## {group}\n\n| code | what happened | what to do |\n|---|---|---|\n");
        }
        let cell = |text: &str| text.replace('|', "\\|");
        let _ =
            writeln!(page, "| `{code}` | {} | {} |", cell(explanation.meaning), cell(explanation.way_out));
    }
    page
}

#[test]
fn the_page_of_error_codes_is_what_the_table_says() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    if std::env::var_os("LIST_SYNC_BLESS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/errors.md is not what src/error/code.rs says; write it again with LIST_SYNC_BLESS=1"
    );
}

/// A slug is lower-case words with hyphens, stands once, and says more than nothing.
#[test]
fn codes_are_slugs_that_differ() {
    let mut seen = std::collections::BTreeSet::new();
    for code in Code::ALL {
        let slug = code.slug();
        assert!(seen.insert(slug), "{slug} stands twice");
        assert!(slug.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())));
        assert_eq!(Code::of(slug), Some(*code));
        let name: String = format!("{code:?}").to_ascii_lowercase();
        assert_eq!(name, slug.replace('-', ""), "the slug is the variant's name");
        let explanation = code.explanation();
        assert!(explanation.meaning.ends_with('.'), "{slug}: {}", explanation.meaning);
        assert!(explanation.way_out.len() > 10, "{slug}: {}", explanation.way_out);
    }
    assert_eq!(Code::of("slot"), None);
}
