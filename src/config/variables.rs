//! `${NAME}` in a value of the configuration stands for an environment variable, `${file:PATH}` for the text
//! of a file.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What a configuration may ask of the world outside its file; tests give their own.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub read: &'a dyn Fn(&str) -> std::io::Result<String>,
}

/// Puts variables in; `$${` stands for `${` itself. The error completes `"…: "`.
pub fn expand(written: &str, outside: Outside<'_>) -> Result<String, String> {
    expand_with(written, outside, &|_, value| value)
}

/// As [`expand`], and a variable that stands before the `@` of a URL is percent-encoded, so that any password
/// may be in it.
pub fn expand_url(written: &str, outside: Outside<'_>) -> Result<String, String> {
    let scheme_end = written.find("://").map_or(written.len(), |at| at + 3);
    let user_end = written.rfind('@').unwrap_or(0);
    expand_with(written, outside, &|at, value| {
        let in_user = at >= scheme_end && at < user_end;
        if in_user { utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string() } else { value }
    })
}

fn expand_with(
    written: &str,
    outside: Outside<'_>,
    encode: &dyn Fn(usize, String) -> String,
) -> Result<String, String> {
    let mut out = String::with_capacity(written.len());
    let mut done = 0;
    while let Some(found) = written[done..].find("${") {
        let at = done + found;
        if written[done..at].ends_with('$') {
            out.push_str(&written[done..at - 1]);
            out.push_str("${");
            done = at + 2;
            continue;
        }
        out.push_str(&written[done..at]);
        let Some(length) = written[at..].find('}') else {
            return Err("\"${\" has no \"}\"; write \"$${\" for the characters themselves".into());
        };
        let name = &written[at + 2..at + length];
        let value = match name.strip_prefix("file:") {
            Some(path) => {
                (outside.read)(path).map_err(|cause| format!("the file {path:?} cannot be read: {cause}"))?
            }
            None => (outside.variable)(name)
                .ok_or_else(|| format!("the environment variable {name:?} is not set"))?,
        };
        let value = if name.starts_with("file:") { without_line_end(&value).to_owned() } else { value };
        out.push_str(&encode(at, value));
        done = at + length + 1;
    }
    out.push_str(&written[done..]);
    Ok(out)
}

/// The text of a file that holds a secret and nothing else: editors end it with a line end.
pub fn without_line_end(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::{Outside, expand, expand_url};

    #[test]
    fn variables_are_put_in() {
        let variable = |name: &str| (name == "PASSWORD").then(|| "p@s/s".to_owned());
        let read = |path: &str| {
            if path == "/run/pw" {
                Ok("a b\r\n".to_owned())
            } else {
                Err(std::io::ErrorKind::NotFound.into())
            }
        };
        let outside = Outside { variable: &variable, read: &read };
        for (written, expected) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("a${PASSWORD}b${PASSWORD}", Ok("ap@s/sbp@s/s")),
            ("$${PASSWORD}$", Ok("${PASSWORD}$")),
            ("<${file:/run/pw}>", Ok("<a b>")),
            ("${file:none}", Err("the file \"none\" cannot be read: entity not found")),
            ("${HOME}", Err("the environment variable \"HOME\" is not set")),
            ("${PASSWORD", Err("\"${\" has no \"}\"; write \"$${\" for the characters themselves")),
        ] {
            assert_eq!(expand(written, outside).as_deref().map_err(String::as_str), expected, "{written}");
        }
        assert_eq!(
            expand_url("mysql://me:${PASSWORD}@h/${PASSWORD}", outside).unwrap(),
            "mysql://me:p%40s%2Fs@h/p@s/s"
        );
        assert_eq!(expand_url("mysql://me:${file:/run/pw}@h/d", outside).unwrap(), "mysql://me:a%20b@h/d");
        assert_eq!(expand_url("${PASSWORD}", outside).unwrap(), "p@s/s");
    }
}
