mod answers;
mod connections;
mod faults;
mod pages;
mod real;
mod recorded;

use serde_json::{Value, json};

use super::{
    Request, Server,
    client::{Client, Reply},
};

/// Dataplanes `dp-1` to `dp-<count>`.
fn with_dataplanes(server: &Server, count: usize) {
    for at in 1..=count {
        server.put(&dataplane(&format!("dp-{at}")));
    }
}

fn dataplane(name: &str) -> Value {
    let inbound = json!([{"port": 5432, "tags": {"kuma.io/service": "db"}}]);
    json!({"type": "Dataplane", "name": name, "networking": {"address": "10.0.0.1", "inbound": inbound}})
}

fn get(server: &Server, path: &str) -> Reply {
    Client::new(server.address()).ask("GET", path, "").expect("it answers")
}

/// The names, the total and the offset of the next page.
fn page(server: &Server, path: &str) -> (Vec<String>, u64, Option<String>) {
    let list: Value = serde_json::from_str(&get(server, path).body).expect("it is JSON");
    let items = list["items"].as_array().expect("it is a list").iter();
    let names = items.map(|item| item["name"].as_str().expect("it has a name").to_owned()).collect();
    let next = list["next"].as_str().map(|next| {
        let next = next.split_once("//").expect("it is a URL").1;
        Request::get(&next[next.find('/').expect("it has a path")..], "").parameter("offset")
    });
    (names, list["total"].as_u64().expect("there is a total"), next.flatten())
}

/// All names, page by page as `next` leads.
fn read(server: &Server, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut offset = "0".to_owned();
    loop {
        let (more, _, next) = page(server, &format!("{path}?size=2&offset={offset}"));
        names.extend(more);
        match next {
            Some(next) => offset = next,
            None => return names,
        }
    }
}
