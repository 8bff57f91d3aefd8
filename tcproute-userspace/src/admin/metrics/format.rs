//! In which form metrics are told: OpenMetrics to those who ask for it, and otherwise the older text, which everybody
//! reads.

use axum::http::{HeaderMap, header::ACCEPT};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Format {
    /// The one that is wanted more.
    pub(in crate::admin) fn asked(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for range in values.flat_map(|value| value.split(',')) {
            let (media, quality) = read(range);
            match media {
                Some(Self::OpenMetrics) => open_metrics = quality.max(open_metrics),
                Some(Self::Text) => text = quality.max(text),
                None => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    pub(in crate::admin) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What is written in OpenMetrics, in this form.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => older(&open_metrics),
        }
    }
}

/// What a part of `Accept` names, and how much it is wanted.
fn read(range: &str) -> (Option<Format>, f32) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let (mut quality, mut version) = (1.0, None);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "q" => quality = value.trim().parse().unwrap_or(0.0),
            "version" => version = Some(value.trim().trim_matches('"')),
            _ => {}
        }
    }
    let is_named = |name: &str| media.eq_ignore_ascii_case(name);
    let format = if is_named("application/openmetrics-text") && version.is_none_or(|it| it == "1.0.0") {
        Some(Format::OpenMetrics)
    } else if is_named("text/plain") && version.is_none_or(|it| it == "0.0.4") {
        Some(Format::Text)
    } else {
        None
    };
    (format, quality)
}

/// There a counter and what is told of a build are called as their samples are, and units have no line.
fn older(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(what) = line.strip_prefix("# HELP ") {
            help = what.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|what| what.rsplit_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                text.extend(["# HELP ", name, ending, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if !line.starts_with("# ") {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        let asked = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            Format::asked(&headers)
        };
        assert_eq!(Format::asked(&HeaderMap::new()), Format::Text);
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0",
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert_eq!(asked(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "*/*",
            "text/plain",
            "text/html,*/*;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.2,text/plain",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=x",
            "",
        ] {
            assert_eq!(asked(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn the_older_text_has_the_same_samples() {
        let open_metrics = "# HELP a_build The build.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
                            # HELP a_lines Lines.\n# TYPE a_lines counter\na_lines_total{of=\"# HELP x\"} 2\n\
                            # HELP a_seconds Time.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                            a_seconds_sum 0.5\n# EOF\n";
        assert_eq!(
            older(open_metrics),
            "# HELP a_build_info The build.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
             # HELP a_lines_total Lines.\n# TYPE a_lines_total counter\na_lines_total{of=\"# HELP x\"} 2\n\
             # HELP a_seconds Time.\n# TYPE a_seconds histogram\na_seconds_sum 0.5\n"
        );
        assert_eq!(Format::OpenMetrics.of(open_metrics.to_owned()), open_metrics);
    }
}
