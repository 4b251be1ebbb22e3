//! Golden transcripts: what the controller decides, as text that reads as a specification.
//!
//! Each file under `transcripts/` begins with a comment that says what it specifies. A line is something that happens; the lines
//! with an arrow below are the records and answers it causes, in order; a line `→ then` parts batches. Partitions are shown as
//! `leader@epoch ISR / ELR / last known`. `RINGMAIN_UPDATE=1` writes down what really happens; review that as a diff.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::base::{PartitionIndex, TopicId};
use crate::controller::image::{PartitionImage, PartitionState};
use crate::controller::record::MetadataRecord;
use crate::controller::{Controller, Dialled, Wants};

use super::world::show;
use super::*;

const EFFECT: &str = "  → ";

#[test]
fn the_controller_does_what_its_transcripts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/controller/lead/tests/transcripts");
    let files = std::fs::read_dir(&folder).expect("transcripts").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert!(!files.is_empty(), "transcripts are beside the code that plays them");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        assert!(text.starts_with("# "), "{} says what it specifies", file.display());
        let played = play(&text);
        if std::env::var_os("RINGMAIN_UPDATE").is_some() {
            std::fs::write(&file, &played).expect("writable");
        } else {
            assert_eq!(played, text, "{}: RINGMAIN_UPDATE=1 writes down what happens now", file.display());
        }
    }
}

fn play(text: &str) -> String {
    let mut played = String::new();
    let mut world = World::new(1);
    for line in text.lines().filter(|line| !line.starts_with(EFFECT)) {
        writeln!(played, "{line}").expect("memory");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut effects = step(&mut world, line);
        effects.splice(0..0, records(&mut world));
        world.commit(usize::MAX);
        for effect in effects {
            writeln!(played, "{EFFECT}{effect}").expect("memory");
        }
    }
    played
}

/// Does what a line says, and gives what is answered.
fn step(world: &mut World, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<i32>().expect("a number");
    let list = |at: usize| words[at].split(',').map(|it| it.parse().expect("a server")).collect::<Vec<i32>>();
    let partition = |at: usize| {
        let (topic, index) = words[at].rsplit_once('-').expect("topic-partition");
        (topic.to_owned(), index.parse::<i32>().expect("a partition"))
    };
    let mut said = Vec::new();
    match words[0] {
        "cluster" => {
            *world = World::running(number(1));
            world.commits = false;
        }
        "topic" => {
            let assignments: Vec<Vec<i32>> = (3..words.len()).map(list).collect();
            let assignments: Vec<&[i32]> = assignments.iter().map(Vec::as_slice).collect();
            world.topic(words[1], &assignments);
        }
        "close" => world.close(number(1)),
        "lane" => world.lane(number(1)),
        "refused" => world.dialled(number(1), Dialled::Refused),
        "silent" => world.dialled(number(1), Dialled::Silent),
        "registers" => {
            world.recover(number(1));
            said.extend(world.register(number(1)).err().map(|error| error.to_string()));
        }
        "hears" => list(1).into_iter().for_each(|server| said.extend(answered(world, server, Wants::Serve))),
        "stops" => said.extend(answered(world, number(1), Wants::Stop)),
        "pass" => {
            world.now_ms += u64::try_from(number(1)).expect("time passes");
            world.tick();
        }
        "isr" => {
            let (topic, index) = partition(1);
            said.push(format!("{:?}", world.isr(&topic, index, &list(2))));
        }
        "controller" => world.elect(number(1)),
        "show" => {
            let (topic, index) = partition(1);
            said.push(world.show(&topic, index));
        }
        other => panic!("no word of transcripts: {other}"),
    }
    said.splice(0..0, std::mem::take(&mut world.dial).iter().map(|server| format!("dials {server}")));
    said
}

fn answered(world: &mut World, server: i32, wants: Wants) -> Vec<String> {
    let answer = world.beat_with(server, |beat| beat.wants = wants);
    match answer {
        Ok(answer) if answer.may_stop => vec![format!("{server} may stop")],
        Ok(_) => Vec::new(),
        Err(error) => vec![format!("{server}: {error}")],
    }
}

/// What is decided and not committed.
fn records(world: &mut World) -> Vec<String> {
    let mut shown = Vec::new();
    for (nth, batch) in world.tail.iter().enumerate() {
        shown.extend((nth > 0).then(|| "then".to_owned()));
        for record in batch {
            shown.extend(words(world, &MetadataRecord::decode(record).expect("our own record")));
        }
    }
    shown
}

fn words(world: &World, record: &MetadataRecord) -> Vec<String> {
    let name = |id: TopicId| {
        let image = world.controller().image();
        image.topic_by_id(id).map_or("new".to_owned(), |topic| topic.name.to_string())
    };
    let state = |topic: TopicId, index: PartitionIndex, state: &PartitionState| {
        let image = PartitionImage::new(state).expect("sound");
        format!("{}-{index}: {}", name(topic), show(&image))
    };
    match record {
        MetadataRecord::Topic(topic) => vec![format!("topic {}", topic.name)],
        MetadataRecord::PartitionStates(run) => {
            let states = (run.first.0..).map(PartitionIndex).zip(&run.partitions);
            states.map(|(index, it)| state(run.topic, index, it)).collect()
        }
        MetadataRecord::PartitionChanges(run) => {
            run.changes.iter().map(|(index, it)| state(run.topic, *index, it)).collect()
        }
        MetadataRecord::Server { id, .. } => vec![format!("server {id} registered")],
        MetadataRecord::ServerState(it) => {
            let fenced = if it.fenced { "fenced" } else { "unfenced" };
            let stopping = if it.stopping { ", stopping" } else { "" };
            vec![format!("server {} {fenced}{stopping}", it.id)]
        }
        MetadataRecord::Voters(voters) => {
            let voters: Vec<String> = voters.iter().map(|voter| voter.server.to_string()).collect();
            vec![format!("voters {}", voters.join(","))]
        }
        MetadataRecord::Counters(_) => Vec::new(),
        other => vec![format!("{other:?}")],
    }
}

#[test]
fn a_controller_that_was_never_told_anything_does_nothing() {
    let mut world = World::new(1);
    world.tell(Controller::tick);
    assert!(world.tail.is_empty() && world.dial.is_empty());
}
