use clap::FromArgMatches;

use super::*;

fn layers(arguments: &str, environment: &[(&str, &str)], file: Option<&str>) -> Result<Layers> {
    let given = arguments.split(' ').map(OsString::from).collect();
    let of_environment = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let read = |path: &Path| match file {
        Some(text) if path == Path::new(FILE) || path == Path::new("/own.yaml") => Ok(text.to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    Layers::of(given, of_environment, read)
}

fn completed(arguments: &str, environment: &[(&str, &str)], file: Option<&str>) -> String {
    let all = layers(arguments, environment, file).unwrap().arguments;
    all.iter().map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_command_line_is_before_the_environment_and_that_before_the_file() {
    let file = Some("poll-interval: 3\nmesh: [of-file, too]\nurl: http://of-file\n");
    let variables = [("TCPROUTE_MESH", "of-variable other"), ("TCPROUTE_URL", "http://of-variable")];
    assert_eq!(
        completed("tcproute run --url http://given", &variables, file),
        "tcproute run --poll-interval=3 --mesh=of-variable --mesh=other --url http://given"
    );
}

#[test]
fn flags_lists_and_pairs_are_arguments() {
    let file = "strict: true\nlog-decisions: false\nallow-loopback: true\nworkload: {web: /web.service}\n";
    let all = completed("tcproute run", &[], Some(file));
    let mut all: Vec<&str> = all.split(' ').skip(2).collect();
    all.sort_unstable();
    assert_eq!(all, ["--allow-loopback=true", "--strict", "--workload=web=/web.service"]);
    let matches =
        Cli::command().try_get_matches_from(layers("tcproute run", &[], Some(file)).unwrap().arguments);
    assert!(Cli::from_arg_matches(&matches.unwrap()).is_ok());
}

#[test]
fn what_comes_behind_a_command_is_its_own() {
    let all = completed("tcproute exec --dataplane web -- run --url x", &[("TCPROUTE_MESH", "m")], None);
    assert_eq!(all, "tcproute exec --mesh=m --dataplane web -- run --url x");
}

#[test]
fn other_commands_are_told_where_the_daemon_is() {
    let file = Some("admin-socket: /run/own.sock\nurl: http://cp\n");
    assert_eq!(completed("tcproute status", &[], file), "tcproute status --admin-socket=/run/own.sock");
    assert_eq!(completed("tcproute resolve --all", &[], file), "tcproute resolve --all");
    // Whatever is wrong there.
    for broken in ["a: [", "nonsense: 1\n"] {
        assert_eq!(completed("tcproute status", &[], Some(broken)), "tcproute status");
    }
}

#[test]
fn what_is_wrong_is_told_with_where_it_is_from() {
    let wrong = |arguments: &str, variables: &[(&str, &str)], file: Option<&str>| {
        layers(arguments, variables, file).map(drop).unwrap_err().to_string()
    };
    assert_eq!(
        wrong("tcproute run", &[], Some("mesh: a\npol-interval: 3\n")),
        "/etc/tcproute/config.yaml:2:1: unknown setting \"pol-interval\", did you mean \"poll-interval\"?"
    );
    assert_eq!(
        wrong("tcproute run", &[], Some("url: [a, b]\n")),
        "--url (from /etc/tcproute/config.yaml:1): takes one value"
    );
    assert_eq!(
        wrong("tcproute run", &[("TCPROUTE_STRICT", "maybe")], None),
        "--strict (from TCPROUTE_STRICT): must be true or false"
    );
    assert!(
        wrong("tcproute run --config /nowhere.yaml", &[], None).starts_with("cannot read /nowhere.yaml: ")
    );
    assert!(
        wrong("tcproute run", &[("TCPROUTE_CONFIG", "/nowhere.yaml")], None)
            .starts_with("cannot read /nowhere.yaml: ")
    );
    let of_clap = |variables: &[(&str, &str)], file| {
        let layers = layers("tcproute run", variables, file).unwrap();
        let error = Cli::command().try_get_matches_from(&layers.arguments).unwrap_err();
        layers.attribute(error).to_string()
    };
    let told = of_clap(&[("TCPROUTE_POLL_INTERVAL", "soon")], None);
    assert!(told.contains("--poll-interval <SECONDS> (from TCPROUTE_POLL_INTERVAL)"), "{told}");
    let told = of_clap(&[], Some("\npoll-interval: soon\n"));
    assert!(told.contains("(from /etc/tcproute/config.yaml:2)"), "{told}");
}

#[test]
fn a_file_of_another_name_is_read_instead() {
    let all = completed("tcproute run --config /own.yaml", &[], Some("mesh: m\n"));
    assert_eq!(all, "tcproute run --mesh=m --config /own.yaml");
}

#[test]
fn each_flag_has_a_variable_and_no_two_the_same() {
    assert_eq!(variable("poll-interval"), "TCPROUTE_POLL_INTERVAL");
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let names: Vec<String> = flags(run).map(|(flag, _)| variable(flag)).collect();
    assert!(names.len() > 40 && names.contains(&"TCPROUTE_WORKLOAD".to_owned()), "{names:?}");
}
