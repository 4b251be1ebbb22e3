//! Broker settings of listeners, connections and requests.

use crate::config::setting::{Kind, Setting};

const ANY: &str = "2147483647";

pub(super) const ROWS: &[Setting] = &[
    Setting::list("listeners", "PLAINTEXT://0.0.0.0:9092", "Address for Kafka clients (one), HOST:PORT after the protocol.").acts(),
    Setting::unset(
        "advertised.listeners",
        Kind::List,
        "Address told to clients, PLAINTEXT://HOST:PORT; unset, each is told the address it connected to.",
    )
    .acts(),
    Setting::string(
        "listener.security.protocol.map",
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "Which security protocol each listener name stands for.",
    )
    .dynamic(),
    Setting::unset("inter.broker.listener.name", Kind::String, "Listener that servers use among themselves."),
    Setting::string("security.inter.broker.protocol", "PLAINTEXT", "Security protocol among servers.")
        .one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
    Setting::unset("early.start.listeners", Kind::List, "Listeners that open before authorization is ready."),
    Setting::int("max.connections", "10000", 0, "Most connections at a time; further ones are closed at once.").dynamic().acts(),
    Setting::int("max.connections.per.ip", ANY, 0, "Most connections at a time from one address.").dynamic().acts(),
    Setting::string("max.connections.per.ip.overrides", "", "Limits for single addresses, as ADDRESS:NUMBER pairs, instead of max.connections.per.ip.").dynamic().acts(),
    Setting::int("max.connection.creation.rate", ANY, 0, "New connections a second.").dynamic(),
    Setting::long("connections.max.idle.ms", "600000", -1, "Silent connections are closed after this time; -1 never.").acts(),
    Setting::long("connections.max.reauth.ms", "0", 0, "Time after which a SASL connection must authenticate again; 0 never."),
    Setting::int("connection.failed.authentication.delay.ms", "100", 0, "Pause before a refused connection is closed."),
    Setting::int("socket.request.max.bytes", "104857600", 1024, "Largest request accepted; a larger one closes its connection.").acts(),
    Setting::int("socket.send.buffer.bytes", "-1", -1, "Kernel send buffer of a connection; -1 has half a mebibyte for peers nearby and leaves the others to the kernel.").acts(),
    Setting::int("socket.receive.buffer.bytes", "-1", -1, "Kernel receive buffer of a connection; -1 leaves it to the kernel.").acts(),
    Setting::int("socket.listen.backlog.size", "1024", 1, "Connections that may wait to be accepted.").acts(),
    Setting::long(
        "queued.max.request.bytes",
        "-1",
        -1,
        "Bytes of requests read and not yet answered, over all connections; -1 takes a share of ringmain.memory.bytes.",
    )
    .acts(),
    Setting::int("queued.max.requests", "500", 1, "Requests that may wait for a request thread; here bytes are counted."),
    Setting::int("num.network.threads", "3", 1, "Network threads; here every shard serves its connections.").dynamic(),
    Setting::int("num.io.threads", "8", 1, "Request threads; here every shard serves its requests.").dynamic(),
    Setting::int("background.threads", "10", 1, "Threads for background work; here shards do their own.").dynamic(),
    Setting::int("request.timeout.ms", "30000", 1, "How long a server waits for another's answer."),
    Setting::int("fetch.max.bytes", "57671680", 1024, "Most bytes one fetch returns, whatever it asks for.").acts(),
    Setting::int("max.incremental.fetch.session.cache.slots", "1000", 0, "Fetch sessions kept, over all shards; 0 declines them.").acts(),
    Setting::int("max.request.partition.size.limit", "2000", 1, "Most partitions one DescribeTopicPartitions returns.").acts(),
    Setting::long("socket.connection.setup.timeout.ms", "10000", 0, "How long another server may take to accept a connection."),
    Setting::long("socket.connection.setup.timeout.max.ms", "30000", 0, "Longest of these times, which grow as tries fail."),
    Setting::list("config.providers", "", "Classes that fill in values of settings; Java only.").dynamic(),
    Setting::int("share.fetch.purgatory.purge.interval.requests", "1000", 0, "How often finished waiting share fetches are swept; not needed here."),
    Setting::int("fetch.purgatory.purge.interval.requests", "1000", 0, "How often finished waiting fetches are swept; not needed here."),
    Setting::int("producer.purgatory.purge.interval.requests", "1000", 0, "How often finished waiting produces are swept; not needed here."),
    Setting::int("delete.records.purgatory.purge.interval.requests", "1", 0, "How often finished waiting deletions are swept; not needed here."),
];
