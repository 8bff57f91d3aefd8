//! What is wrong with a document, as field paths: all of it, and not only the first finding.

/// A field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Such as `spec.to[0].rules[0].default.backendRefs[0].name`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
    /// The known name that is most like the one that is written.
    pub suggestion: Option<&'static str>,
}

/// More than anybody reads: a wrong document might have millions.
const MOST: usize = 25_000;

/// How strictly documents are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strictness {
    /// As what people write: they misspell, so an unknown field is a violation.
    #[default]
    Strict,
    /// As what servers and tools give: those of later versions have more fields than are known here, and take what
    /// those before refused.
    Lenient,
    /// JSON as what tools give, and YAML as what people write.
    ByFormat,
}

impl Strictness {
    /// How a document in this format is judged.
    pub const fn of(self, is_json: bool) -> Self {
        match self {
            Self::ByFormat if is_json => Self::Lenient,
            Self::ByFormat => Self::Strict,
            said => said,
        }
    }
}

/// Gathers the violations of one document.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<Violation>,
    strictness: Strictness,
}

impl Violations {
    /// None yet.
    pub const fn new(strictness: Strictness) -> Self {
        Self { found: Vec::new(), strictness }
    }

    /// Notes what is none in a document that a server gives.
    pub fn add_strict(&mut self, path: &str, message: &str) {
        if self.strictness == Strictness::Strict {
            self.add(path, message);
        }
    }

    /// Notes one, unless there are very many.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add_with(path.into(), message.into(), None);
    }

    /// Notes one, and the known name that may have been meant.
    pub fn misspelt(&mut self, path: String, message: &str, suggestion: Option<&'static str>) {
        let meant = suggestion.map(|near| format!(", did you mean {near:?}?"));
        self.add_with(path, format!("{message}{}", meant.unwrap_or_default()), suggestion);
    }

    fn add_with(&mut self, path: String, message: String, suggestion: Option<&'static str>) {
        if self.found.len() < MOST {
            self.found.push(Violation { path, message, suggestion });
        }
    }

    /// Notes the error, if it is one.
    pub fn check<T, E: std::fmt::Display>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(path, error.to_string())).ok()
    }

    /// The value, if nothing was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Violation>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found),
        }
    }
}
