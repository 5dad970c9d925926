//! The rules that come with the station: the usual providers' formats, and the usual ways to write
//! a password down. The more precise ones stand first.

use std::cell::OnceCell;

use super::Rule;

/// Id, keywords, pattern; the first group is the secret.
const PROVIDERS: &[(&str, &[&str], &str)] = &[
    (
        "private-key",
        &["private key"],
        r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----",
    ),
    (
        "aws-access-key-id",
        &["akia", "asia", "abia", "acca"],
        r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})\b",
    ),
    (
        "aws-secret-access-key",
        &["aws"],
        r#"(?i)aws[a-z0-9_.-]{0,30}key['"]?\s*(?::|=>|=)\s*['"]?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
    ),
    (
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"\b(gh[pousr]_[A-Za-z0-9]{36,})",
    ),
    (
        "github-fine-grained-token",
        &["github_pat_"],
        r"\b(github_pat_[A-Za-z0-9_]{50,})",
    ),
    (
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glptt-"],
        r"\b(gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,})",
    ),
    (
        "slack-token",
        &["xox", "xapp-"],
        r"\b((?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,})",
    ),
    (
        "slack-webhook",
        &["hooks.slack.com"],
        r"(hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,})",
    ),
    (
        "stripe-key",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
        r"\b([sr]k_(?:live|test)_[A-Za-z0-9]{16,})",
    ),
    (
        "stripe-webhook-secret",
        &["whsec_"],
        r"\b(whsec_[A-Za-z0-9+/]{32,})",
    ),
    ("google-api-key", &["aiza"], r"\b(AIza[A-Za-z0-9_-]{35})"),
    (
        "google-client-secret",
        &["gocspx-"],
        r"\b(GOCSPX-[A-Za-z0-9_-]{28})",
    ),
    (
        "google-access-token",
        &["ya29."],
        r"\b(ya29\.[A-Za-z0-9_-]{20,})",
    ),
    (
        "azure-storage-key",
        &["accountkey="],
        r"(?i)AccountKey=([A-Za-z0-9+/]{86}==)",
    ),
    (
        "azure-client-secret",
        &["8q~"],
        r"([A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34})",
    ),
    ("azure-sas", &["sig="], r"(?i)[?&]sig=([A-Za-z0-9%+/]{43,})"),
    ("npm-token", &["npm_"], r"\b(npm_[A-Za-z0-9]{36})\b"),
    ("pypi-token", &["pypi-"], r"\b(pypi-[A-Za-z0-9_-]{50,})"),
    (
        "anthropic-key",
        &["sk-ant-"],
        r"\b(sk-ant-[A-Za-z0-9]+-[A-Za-z0-9_-]{32,})",
    ),
    (
        "openai-key",
        &["sk-"],
        r"\b(sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})",
    ),
    ("hugging-face-token", &["hf_"], r"\b(hf_[A-Za-z0-9]{34})\b"),
    (
        "sendgrid-key",
        &["sg."],
        r"\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})",
    ),
    (
        "digitalocean-token",
        &["do"],
        r"\b(do[por]_v1_[a-f0-9]{64})\b",
    ),
    (
        "docker-token",
        &["dckr_pat_"],
        r"\b(dckr_pat_[A-Za-z0-9_-]{27})",
    ),
    (
        "jwt",
        &["eyj"],
        r"\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})",
    ),
];

/// As above, for values that people also write as placeholders; with the bits a byte that a real
/// one has at least.
const WRITTEN_DOWN: &[(&str, &[&str], &str, f64)] = &[
    (
        "basic-auth-url",
        &["://"],
        r#"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@'"<>]{1,100}:([^\s:/@'"<>]{3,200})@[^\s/'"]"#,
        1.5,
    ),
    (
        "password",
        &[
            "passw",
            "pwd",
            "secret",
            "token",
            "api_key",
            "apikey",
            "api-key",
            "credential",
        ],
        r#"(?i)(?:passwd|password|pwd|secret|token|api[_-]?key|credential)[a-z0-9_-]{0,30}["']?\s*(?::=|=>|=|:)\s*["'`]([^"'`\s]{8,200})["'`]"#,
        2.5,
    ),
    (
        "password",
        &["passw", "secret", "token", "api_key", "apikey"],
        r"^\s*(?:export\s+)?[A-Z0-9_]{0,40}(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)[A-Z0-9_]{0,40}=([^\s'`(]{8,200})\s*$",
        2.5,
    ),
];

pub(super) fn rules() -> Vec<Rule> {
    let rule = |id: &str, keywords: &[&str], pattern: &str, min_entropy, skip_placeholders| Rule {
        id: id.into(),
        keywords: keywords.iter().map(|&word| word.into()).collect(),
        pattern: pattern.into(),
        regex: OnceCell::new(),
        min_entropy,
        skip_placeholders,
    };
    let providers = PROVIDERS
        .iter()
        .map(|(id, keywords, pattern)| rule(id, keywords, pattern, 0.0, false));
    let written = WRITTEN_DOWN
        .iter()
        .map(|(id, keywords, pattern, entropy)| rule(id, keywords, pattern, *entropy, true));
    providers.chain(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for rule in rules() {
            super::super::compile(&rule.pattern)
                .unwrap_or_else(|error| panic!("{}: {error}", rule.id));
            assert!(
                rule.keywords
                    .iter()
                    .all(|word| *word == word.to_ascii_lowercase()),
                "{}",
                rule.id
            );
        }
    }
}
