//! The catalog of a server that runs, from outside.

use serde_json::{Value, json};

use super::{World, code, stderr, stdout};

const BEACON: &str = include_str!("../../../../../fixtures/catalog/beacon/app.yaml");

/// A world whose configuration names a folder of entries, and the folder.
fn world() -> (World, std::path::PathBuf) {
    let world = World::new();
    let folder = world.dir.path().join("entries");
    std::fs::create_dir(&folder).unwrap();
    let text = std::fs::read_to_string(&world.config).unwrap();
    let named = format!("catalog_folders: [{}]\n", folder.display());
    std::fs::write(&world.config, text + &named).unwrap();
    (world, folder)
}

fn write(folder: &std::path::Path, id: &str, text: &str) {
    std::fs::create_dir(folder.join(id)).unwrap();
    std::fs::write(folder.join(id).join("app.yaml"), text).unwrap();
}

fn json_of(world: &World, line: &str) -> Value {
    let ended = world.run(&format!("{line} --json"));
    assert_eq!(code(&ended), 0, "{line}: {}", stderr(&ended));
    serde_json::from_str(&stdout(&ended)).unwrap()
}

#[test]
fn a_bad_file_is_told_and_stops_neither_the_server_nor_another_entry() {
    let (world, folder) = world();
    write(&folder, "broken", "format: 1\n");
    let _server = world.serve();
    let list = world.run("catalog");
    assert_eq!(code(&list), 0, "{}", stderr(&list));
    let shown = stdout(&list);
    assert!(shown.contains("nginx"), "{shown}");
    assert!(shown.contains("left out of the catalog:"), "{shown}");
    let file = folder.join("broken/app.yaml").display().to_string();
    assert!(shown.contains(&file), "{shown}");

    write(&folder, "beacon", BEACON);
    let shipped = json_of(&world, "catalog list")["stats"]["entries"].clone();
    let shipped = shipped.as_u64().unwrap();
    std::fs::remove_dir_all(folder.join("broken")).unwrap();
    let read = world.run("catalog reload");
    let told = format!("the catalog has {} entries", shipped + 1);
    assert_eq!(stdout(&read).trim_end(), told);
    let found = json_of(&world, "catalog list --search beacon");
    assert_eq!(found["entries"][0]["id"], "beacon");
    assert_eq!(found["problems"], json!([]));
    let place = format!("folder:{}", folder.display());
    assert_eq!(found["entries"][0]["source"], place);
    let of_place = json_of(&world, &format!("catalog list --source {place}"));
    assert_eq!(of_place["entries"].as_array().unwrap().len(), 1);
    let stats = json_of(&world, "catalog stats");
    assert_eq!(stats["by_category"]["test"], 1);
    assert_eq!(stats["by_source"], json!({ place: 1, "shipped": shipped }));
    assert!(stats["verified"].as_u64().unwrap() > 0, "{stats}");
    let stats = stdout(&world.run("catalog stats"));
    assert!(stats.contains("category web"), "{stats}");
}

#[test]
fn repositories_with_entries_are_added_listed_and_removed() {
    let (world, _) = world();
    let _server = world.serve();
    // Nobody answers there.
    let url = "https://127.0.0.1:1/entries.git";
    let added = json_of(
        &world,
        &format!("catalog sources add team {url} --path apps"),
    );
    assert_eq!(added["commit"], Value::Null);
    let again = world.run(&format!("catalog sources add team {url}"));
    assert_ne!(code(&again), 0);
    let list = json_of(&world, "catalog sources list");
    assert_eq!(list["sources"][0]["name"], "team");
    assert!(stdout(&world.run("catalog sources list")).contains(url));
    let diff = world.run("catalog sources diff team --json");
    let told: Value = serde_json::from_str(&stderr(&diff)).unwrap();
    assert_eq!(told["error"]["code"], "source_unreachable", "{told}");
    let wrong = world.run("catalog sources update team --commit HEAD");
    assert_eq!(code(&wrong), 2, "{}", stderr(&wrong));
    let removed = world.run("catalog sources remove team");
    assert_eq!(code(&removed), 0, "{}", stderr(&removed));
    let gone = world.run("catalog sources diff team");
    assert_eq!(code(&gone), 3, "{}", stderr(&gone));
    let list = stdout(&world.run("catalog sources list"));
    assert_eq!(list.trim_end(), "no repositories with entries");
}
