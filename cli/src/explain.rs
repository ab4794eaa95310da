//! `list_sync explain`: what an error's code means, and the way out.

use std::process::ExitCode;

use list_sync::{Code, Result};

use crate::args::Explain;
use crate::say;

/// Prints one code's explanation, or a line for each code.
pub fn run(flags: &Explain) -> Result<ExitCode> {
    match flags.code.as_deref().and_then(Code::of) {
        Some(code) => {
            let explanation = code.explanation();
            say(&format!("{code}: {}\n\nWhat to do: {}", explanation.meaning, explanation.way_out))?;
        }
        None => say(&list())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The codes under their headings, as in docs/errors.md.
fn list() -> String {
    let (mut lines, mut group) = (Vec::new(), "");
    for code in Code::ALL {
        let explanation = code.explanation();
        if explanation.group != group {
            group = explanation.group;
            lines.push(format!("\n{group}"));
        }
        lines.push(format!("  {:<28}{}", code.slug(), explanation.meaning));
    }
    lines.join("\n").trim_start().to_owned()
}
