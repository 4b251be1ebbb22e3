//! Apache Kafka as a peer: installed from Maven Central with mvn, one node, KRaft, on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peer::HOUSEKEEPING;
use super::server::Recipe;
use crate::error::BenchError;

const VERSION: &str = "4.4.0";
/// As in Kafka's own examples of a server; more than the loads here need.
const HEAP: &str = "2g";

/// Where the jars are, installed if they are not.
pub fn install(target: &Path) -> Result<PathBuf, BenchError> {
    let home = target.join(format!("kafka-{VERSION}"));
    let libs = home.join("libs");
    if libs.join(format!("kafka-tools-{VERSION}.jar")).exists() {
        return Ok(libs);
    }
    eprintln!("installing Kafka {VERSION} from Maven Central");
    fs::create_dir_all(&home).map_err(BenchError::io("create a directory for Kafka"))?;
    fs::write(home.join("pom.xml"), project()).map_err(BenchError::io("write Kafka's pom.xml"))?;
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg("-DoutputDirectory=libs").current_dir(&home);
    run(maven, "mvn (Debian: apt install maven)")?;
    Ok(libs)
}

/// A project that depends on the broker and its tools, for mvn to fetch what they need.
fn project() -> String {
    let dependency = |name: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{name}</artifactId>\
             <version>{VERSION}</version></dependency>"
        )
    };
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>kafka</artifactId>\
         <version>1</version><packaging>pom</packaging><dependencies>{}{}</dependencies></project>\n",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}

/// A node with fresh storage that listens on `port`, its controller on the next one.
pub fn recipe(libs: &Path, dir: &Path, port: u16) -> Result<Recipe, BenchError> {
    let data_dir = dir.join("kafka");
    fs::create_dir_all(&data_dir).map_err(BenchError::io("create a directory for Kafka"))?;
    let properties = dir.join("kafka.properties");
    let text = properties_text(&data_dir, port);
    fs::write(&properties, text).map_err(BenchError::io("write Kafka's properties"))?;
    let classes = format!("{}/*", libs.display());
    let properties = properties.display().to_string();
    let mut format = Command::new("java");
    format.args(["-cp", &classes, "kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID]);
    format.args(["-c", &properties]);
    run(format, "java (Debian: apt install default-jre-headless)")?;
    let heap = [format!("-Xms{HEAP}"), format!("-Xmx{HEAP}"), "-XX:+UseG1GC".to_owned()];
    let rest = ["-cp".to_owned(), classes, "kafka.Kafka".to_owned(), properties];
    Ok(Recipe {
        name: "kafka".to_owned(),
        address: format!("127.0.0.1:{port}"),
        data_dir,
        log: dir.join("kafka.log"),
        program: PathBuf::from("java"),
        arguments: heap.into_iter().chain(rest).collect(),
    })
}

/// Any will do: the node is alone.
const CLUSTER_ID: &str = "cmluZ21haW4tYmVuY2gtMQ";

/// Kafka as it comes, but for addresses, one replica of its own topics, and files that go soon after they fall due.
fn properties_text(data_dir: &Path, port: u16) -> String {
    let housekeeping = HOUSEKEEPING.join("\n");
    let (dir, controller) = (data_dir.display(), port + 1);
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={dir}\n\
         log.initial.task.delay.ms=1000\n\
         log.segment.delete.delay.ms=1000\n\
         {housekeeping}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n"
    )
}

fn run(mut command: Command, program: &str) -> Result<(), BenchError> {
    let failed = |why: String| BenchError::Tool { program: program.to_owned(), why };
    let done = command.output().map_err(|error| failed(error.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    Err(failed(text.lines().rev().take(5).collect::<Vec<_>>().join("; ")))
}
