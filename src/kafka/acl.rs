//! Rights that the brokers' authorizer can withhold, and the command of Kafka's own tools that grants one.

use super::client::Settings;

/// One right on one thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acl<'a> {
    /// `Read`, as Kafka's tools write it.
    pub operation: &'static str,
    /// On what.
    pub resource: Resource<'a>,
}

/// What a right is on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Resource<'a> {
    /// A topic by its name, or a pattern of a sink.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
}

impl<'a> Acl<'a> {
    /// A right on a topic.
    pub fn topic(operation: &'static str, topic: &'a str) -> Self {
        Self { operation, resource: Resource::Topic(topic) }
    }

    /// A right on a group.
    pub fn group(operation: &'static str, group: &'a str) -> Self {
        Self { operation, resource: Resource::Group(group) }
    }

    /// `the ACL Read on topic "t"`, for messages.
    pub fn name(&self) -> String {
        match self.resource {
            Resource::Topic(name) => format!("{} on topic {name:?}", self.operation),
            Resource::Group(name) => format!("{} on group {name:?}", self.operation),
        }
    }

    /// The command that grants it.
    pub fn command(&self, settings: &Settings) -> String {
        let resource = match self.resource {
            Resource::Topic(name) => pattern("--topic", name),
            Resource::Group(name) => pattern("--group", name),
        };
        let (admin, principal) = (settings.admin_flags(), settings.principal());
        format!(
            "kafka-acls {admin} --add --allow-principal {principal} --operation {} {resource}",
            self.operation
        )
    }
}

/// A name, or the prefix that a pattern begins with: Kafka's ACLs know no other patterns.
fn pattern(flag: &str, name: &str) -> String {
    match name.find(['*', '?']) {
        None => format!("{flag} {name}"),
        Some(0) => format!("{flag} '*'"),
        Some(end) => format!("{flag} {} --resource-pattern-type prefixed", &name[..end]),
    }
}

impl Settings {
    /// How Kafka's own tools reach the cluster. Who may grant something has a login of their own, in a file
    /// that we do not know.
    pub(super) fn admin_flags(&self) -> String {
        let login =
            if self.uses_tls() || self.uses_login() { " --command-config admin.properties" } else { "" };
        format!("--bootstrap-server {}{login}", self.brokers.first().map_or("", String::as_str))
    }

    /// Who we are to the authorizer, as a shell takes it: the user of the login, else the subject of the
    /// certificate, as openssl prints it.
    fn principal(&self) -> String {
        if self.uses_login() {
            return for_shell(&format!("User:{}", self.property("sasl.username").unwrap_or_default()));
        }
        match self.property("ssl.certificate.location").filter(|_| self.uses_tls()) {
            Some(file) => format!(
                "\"User:$(openssl x509 -noout -subject -nameopt RFC2253 -in '{file}' | cut -d= -f2-)\""
            ),
            None => "User:ANONYMOUS".to_owned(),
        }
    }
}

/// In quotes, if a shell would take it for more than one word.
pub(super) fn for_shell(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._:@-".contains(letter);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::secret::Secret;

    fn settings(properties: &[(&str, &str)]) -> Settings {
        let properties: BTreeMap<_, _> =
            properties.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        Settings {
            brokers: vec!["b1:9092".to_owned(), "b2:9092".to_owned()],
            properties,
            partitions: 1,
            replication: None,
        }
    }

    #[test]
    fn commands_can_be_pasted() {
        let plain = settings(&[]);
        assert_eq!(
            Acl::topic("Write", "shop.public.t").command(&plain),
            "kafka-acls --bootstrap-server b1:9092 --add --allow-principal User:ANONYMOUS --operation Write \
             --topic shop.public.t"
        );
        let login = settings(&[("security.protocol", "SASL_SSL"), ("sasl.username", "o'neil")]);
        assert_eq!(
            Acl::topic("Read", "shop.public.*").command(&login),
            "kafka-acls --bootstrap-server b1:9092 --command-config admin.properties --add \
             --allow-principal 'User:o'\\''neil' --operation Read \
             --topic shop.public. --resource-pattern-type prefixed"
        );
        let certificate = settings(&[("security.protocol", "ssl"), ("ssl.certificate.location", "c.pem")]);
        let command = Acl::group("Read", "files").command(&certificate);
        assert!(
            command.contains(
                "\"User:$(openssl x509 -noout -subject -nameopt RFC2253 -in 'c.pem' | cut -d= -f2-)\""
            ),
            "{command}"
        );
        assert!(command.ends_with(" --operation Read --group files"), "{command}");
        assert!(Acl::topic("Read", "*").command(&plain).ends_with(" --topic '*'"));
    }
}
