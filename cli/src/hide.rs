//! Passwords that were typed into the command line: everybody may read it in the list of processes. The
//! program starts itself anew, as the same process, with `${LIST_SYNC_HIDDEN_1}` in their place and the
//! passwords in the environment, which only its own user can read.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use percent_encoding::percent_decode_str;

/// What the variables' names begin with.
const HIDDEN: &str = "LIST_SYNC_HIDDEN_";

/// Returns if nothing is to be hidden, or if the program cannot be started anew.
pub fn hide_passwords() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut secrets = Vec::new();
    let shown: Vec<OsString> =
        arguments.iter().map(|argument| without_password(argument, &mut secrets)).collect();
    let (Some((name, rest)), Ok(program)) = (shown.split_first(), std::env::current_exe()) else { return };
    if secrets.is_empty() {
        return;
    }
    let variables = secrets.iter().enumerate().map(|(number, secret)| (variable(number), secret));
    // Comes back only if it fails: then the passwords stay where they were typed, and a warning says so.
    let _ = Command::new(program).arg0(name).args(rest).envs(variables).exec();
}

/// Whether a password was typed in this argument and is hidden now.
pub fn is_hidden(argument: &str) -> bool {
    argument.contains(&format!("${{{HIDDEN}"))
}

fn variable(number: usize) -> String {
    format!("{HIDDEN}{}", number + 1)
}

/// An argument as it may be shown; its password, if it has one, goes to `secrets`.
fn without_password(argument: &OsStr, secrets: &mut Vec<String>) -> OsString {
    let Some((before, password, after, is_url)) =
        argument.to_str().and_then(|text| in_url(text).or_else(|| in_setting(text)))
    else {
        return argument.to_os_string();
    };
    if password.is_empty() || password.contains("${") {
        return argument.to_os_string();
    }
    // In a URL it is percent-encoded, and what stands for it will be encoded again.
    let plain = if is_url {
        percent_decode_str(password).decode_utf8_lossy().into_owned()
    } else {
        password.to_owned()
    };
    secrets.push(plain);
    format!("{before}${{{}}}{after}", variable(secrets.len() - 1)).into()
}

/// `…://user:PASSWORD@…`
fn in_url(text: &str) -> Option<(&str, &str, &str, bool)> {
    let user = text.find("://")? + 3;
    let end = text.rfind('@').filter(|end| *end > user)?;
    let start = user + text[user..end].find(':')? + 1;
    Some((&text[..start], &text[start..end], &text[end..], true))
}

/// `kafka.properties.sasl.password=PASSWORD`, alone or behind `--set=`.
fn in_setting(text: &str) -> Option<(&str, &str, &str, bool)> {
    let key = if text.starts_with("--set=") { "--set=".len() } else { 0 };
    let start = key + text[key..].find('=')? + 1;
    text[..start - 1]
        .trim_end()
        .to_ascii_lowercase()
        .ends_with("password")
        .then(|| (&text[..start], &text[start..], "", false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide(argument: &str) -> (String, Vec<String>) {
        let mut secrets = Vec::new();
        let shown = without_password(OsStr::new(argument), &mut secrets);
        (shown.into_string().unwrap(), secrets)
    }

    #[test]
    fn passwords_are_taken_out() {
        for (typed, shown, secret) in [
            ("mysql://me:p%40s@h:1/d", "mysql://me:${LIST_SYNC_HIDDEN_1}@h:1/d", Some("p@s")),
            (
                "--from=postgres://me:a:b@h/d?sslmode=require",
                "--from=postgres://me:${LIST_SYNC_HIDDEN_1}@h/d?sslmode=require",
                Some("a:b"),
            ),
            (
                "kafka.properties.sasl.password=p=q",
                "kafka.properties.sasl.password=${LIST_SYNC_HIDDEN_1}",
                Some("p=q"),
            ),
            (
                "--set=kafka.properties.ssl.key.password=x",
                "--set=kafka.properties.ssl.key.password=${LIST_SYNC_HIDDEN_1}",
                Some("x"),
            ),
            ("mysql://me:${PASSWORD}@h/d", "mysql://me:${PASSWORD}@h/d", None),
            ("mysql://me@h:3306/d", "mysql://me@h:3306/d", None),
            ("source.shop.password_file=/run/pw", "source.shop.password_file=/run/pw", None),
            ("--once", "--once", None),
        ] {
            let expected = (shown.to_owned(), secret.map(str::to_owned).into_iter().collect());
            assert_eq!(hide(typed), expected);
            assert_eq!(is_hidden(shown), secret.is_some());
        }
    }
}
