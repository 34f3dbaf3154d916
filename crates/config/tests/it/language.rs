//! The schema describes the same language that the parser reads.

use serde_json::{Value, json};

use crate::{REST, parse};

/// Every object of the schema that lists its keys, and where it is.
fn tables<'s>(schema: &'s Value, path: &str, found: &mut Vec<(String, &'s Value)>) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") {
                found.push((path.to_owned(), schema));
            }
            for (key, value) in map {
                tables(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| tables(value, path, found)),
        _ => {}
    }
}

#[test]
fn every_table_is_closed_and_every_key_is_described() {
    let schema = config::schema();
    let mut found = Vec::new();
    tables(&schema, "", &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for (path, table) in found {
        assert_eq!(table["additionalProperties"], json!(false), "{path}");
        assert!(table["description"].is_string(), "{path}");
        for (key, value) in table["properties"].as_object().unwrap() {
            assert!(value["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path}: {key}");
        }
    }
}

#[test]
fn the_schema_says_what_a_key_is() {
    let schema = config::schema();
    let limits = &schema["properties"]["limits"]["properties"];
    assert_eq!(
        limits["connections"],
        json!({
            "type": "integer", "minimum": 1, "maximum": 10_000_000, "default": 20000,
            "description": "Client connections of the whole node; over it: 503 and close.",
        })
    );
    assert_eq!(limits["header_bytes"]["default"], json!("32KiB"));
    assert_eq!(schema["required"], json!(["listen", "route"]));
    let service = &schema["properties"]["service"]["additionalProperties"]["properties"];
    assert_eq!(service["retry"]["properties"]["on"]["default"], json!(["connect", "502", "503", "504"]));
    assert!(schema["properties"]["route"]["items"]["properties"]["match"].is_object());
}

/// A default that is written out is a good value, and means the same as leaving the key out.
#[test]
fn every_default_can_be_written() {
    let schema = config::schema();
    let plain = parse(REST).unwrap().plan;
    for table in ["node", "admin", "limits", "cache", "telemetry"] {
        for (key, value) in schema["properties"][table]["properties"].as_object().unwrap() {
            if let Some(default) = value.get("default") {
                let text = format!("[{table}]\n{key} = {default}\n{REST}");
                let mut plan = parse(&text).unwrap_or_else(|report| panic!("{report}")).plan;
                // The lines of routes have moved.
                plan.routes.clone_from(&plain.routes);
                assert_eq!(plan, plain, "{text}");
            }
        }
    }
    for (kind, among) in [("service", "\n[[route]]"), ("queue", "\n[service.shop]")] {
        let queue = "\n[queue.hooks]\ndeliver = [\"shop\"]\nevery = \"@daily\"\n\n[service.shop]";
        let rest = REST.replace("\n[service.shop]", queue);
        let plain = parse(&rest).unwrap().plan;
        let table = &schema["properties"][kind]["additionalProperties"]["properties"];
        for (key, value) in table.as_object().unwrap() {
            let written = !["endpoints", "deliver", "allow_private_addresses"].contains(&key.as_str());
            if let Some(default) = value.get("default").filter(|_| written) {
                let text = rest.replace(among, &format!("{key} = {default}{among}"));
                let plan = parse(&text).unwrap_or_else(|report| panic!("{report}")).plan;
                assert_eq!(
                    (plan.services, plan.queues),
                    (plain.services.clone(), plain.queues.clone()),
                    "{text}"
                );
            }
        }
    }
}
