//! Texts with named gaps, such as `{source}.{table}`.

/// A text with gaps, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Gap(&'static str),
}

/// Why a text is no template; completes `"…: "`.
pub type TemplateFault = String;

impl Template {
    /// Takes a text apart whose gaps have these names.
    pub fn parse(text: &str, names: &[&'static str]) -> Result<Self, TemplateFault> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else {
                return Err(format!("{text:?} has \"{{\" without \"}}\""));
            };
            let Some(known) = names.iter().find(|known| **known == name) else {
                return Err(format!("unknown part \"{{{name}}}\"{}", super::fault::suggestion(name, names)));
            };
            parts.extend([Part::Text(before.to_owned()), Part::Gap(known)]);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The text with each gap filled by what `fill` answers for its name.
    pub fn fill<'a>(&'a self, fill: impl Fn(&str) -> &'a str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Gap(name) => fill(name),
        });
        parts.collect()
    }

    /// The plain text between the gaps.
    pub fn plain(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Gap(_) => None,
        })
    }
}
